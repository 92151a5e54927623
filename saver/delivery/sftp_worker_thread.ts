/**
 * The thread of a worker. Says nothing by itself, and does what `ToSftpWorker` asks for.
 *
 * @module
 */
import { failureOf, type FromSftpWorker, type ToSftpWorker } from "./sftp_worker.ts";
import { Session } from "./session.ts";

/** Bytes that are sent before they are told: telling each request would cost as much as making it. */
const TELL_EVERY = 512 * 1024;

const thread = globalThis as unknown as {
  onmessage: (event: MessageEvent<ToSftpWorker>) => void;
  postMessage: (message: FromSftpWorker) => void;
};
const stop = new AbortController();
let session: Promise<Session>;

thread.onmessage = ({ data }) => {
  switch (data.type) {
    case "open":
      session = Session.open(data.options, data.names, stop.signal);
      session.catch(() => {}); // told to each call
      return;
    case "call":
      return void answer(data);
    case "abort":
      return stop.abort(new Error("The delivery was given up."));
    case "close":
      return void close();
  }
};

async function answer({ id, call, item }: ToSftpWorker & { type: "call" }): Promise<void> {
  let bytes = 0;
  const tell = () => {
    if (bytes > 0) thread.postMessage({ type: "sent", id, bytes });
    bytes = 0;
  };
  try {
    const value = await (await session)[call](item!, (sent) => {
      bytes += sent;
      if (bytes >= TELL_EVERY) tell();
    });
    tell();
    thread.postMessage({ type: "done", id, value });
  } catch (error) {
    thread.postMessage({ type: "failed", id, failure: failureOf(error) });
  }
}

async function close(): Promise<void> {
  await session.then((open) => open[Symbol.asyncDispose](), () => {});
  thread.postMessage({ type: "closed" });
}
