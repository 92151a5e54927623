/** The thread of an `SftpWorker`: executes the messages of `ToSftpWorker`. */
import { failureOf, type FromSftpWorker, type ToSftpWorker } from "./sftp_worker.ts";
import { Session } from "./session.ts";

/** Bytes between two reports: reporting each request would cost as much as sending it. */
const REPORT_EVERY = 512 * 1024;

const thread = globalThis as unknown as {
  onmessage: (event: MessageEvent<ToSftpWorker>) => void;
  postMessage: (message: FromSftpWorker) => void;
};
const stop = new AbortController();
let session: Promise<Session>;

thread.onmessage = ({ data }) => {
  switch (data.type) {
    case "open":
      session = Session.open(data.options, data.housekeeping, {
        parts: (paths) => thread.postMessage({ type: "parts", paths }),
        staleRemoved: () => thread.postMessage({ type: "stale removed" }),
      }, stop.signal);
      session.catch(() => {}); // each call throws it
      return;
    case "call":
      return void answer(data);
    case "abort":
      return stop.abort(new Error("The delivery was aborted."));
    case "close":
      return void close();
  }
};

async function answer({ id, call, item }: ToSftpWorker & { type: "call" }): Promise<void> {
  let moved = { sent: 0, read: 0 };
  const report = () => {
    thread.postMessage({ type: "moved", id, ...moved });
    moved = { sent: 0, read: 0 };
  };
  try {
    const value = await (await session)[call](item!, (sent, read) => {
      moved = { sent: moved.sent + sent, read: moved.read + read };
      if (moved.sent + moved.read >= REPORT_EVERY) report();
    });
    report();
    thread.postMessage({ type: "done", id, value });
  } catch (error) {
    thread.postMessage({ type: "failed", id, failure: failureOf(error) });
  }
}

async function close(): Promise<void> {
  await session.then((open) => open[Symbol.asyncDispose](), () => {});
  thread.postMessage({ type: "closed" });
}
