/**
 * A session in a thread. Encryption and hashing don't block the event loop, and two files can be sent in parallel. Resources that ssh2 never closes
 * end with the thread.
 */
import { messageOf, PermanentError, TransientError } from "../../shared/errors/errors.ts";
import type { Housekeeping, Item, OnMoved, Session, SftpOptions } from "./session.ts";

/** The methods of a session that are called from outside of its thread. */
type Calls = Pick<Session, "stage" | "unstage" | "deliver" | "probe">;

/** First `open`, then calls. `abort` makes all calls fail, `close` ends the connection. */
export type ToSftpWorker =
  | { readonly type: "open"; readonly options: SftpOptions; readonly housekeeping: Housekeeping }
  | {
    readonly type: "call";
    readonly id: number;
    readonly call: keyof Calls;
    readonly item: Item | undefined;
  }
  | { readonly type: "abort" | "close" };

export type FromSftpWorker =
  | { readonly type: "parts"; readonly paths: readonly string[] }
  | { readonly type: "stale removed" }
  | { readonly type: "moved"; readonly id: number; readonly sent: number; readonly read: number }
  | { readonly type: "done"; readonly id: number; readonly value: unknown }
  | { readonly type: "failed"; readonly id: number; readonly failure: Failure }
  | { readonly type: "closed" };

/** An error as a message between threads, which preserve no classes. */
interface Failure {
  /** Any other error is `unknown`. */
  readonly kind: "transient" | "permanent" | "unknown";
  readonly message: string;
}

export function failureOf(error: unknown): Failure {
  const kind = error instanceof PermanentError
    ? "permanent"
    : error instanceof TransientError
    ? "transient"
    : "unknown";
  return { kind, message: messageOf(error) };
}

function errorOf({ kind, message }: Failure): Error {
  if (kind === "permanent") return new PermanentError(message);
  return kind === "transient" ? new TransientError(message) : new Error(message);
}

/** Milliseconds for the orderly close of a session. */
const GOODBYE_MS = 5_000;

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly onMoved: OnMoved;
}

interface SftpWorkerEvents {
  /** Called after the search of the folder. */
  staleRemoved(): void;
  /** Called at the end with the temporary files that remain on the server. */
  closed(parts: readonly string[]): void;
}

/** Disposing ends the session and its thread. */
export class SftpWorker implements AsyncDisposable {
  readonly #worker = new Worker(new URL("./sftp_worker_thread.ts", import.meta.url), {
    type: "module",
    name: "worker",
  });
  readonly #waiting = new Map<number, Waiting>();
  readonly #closed = Promise.withResolvers<void>();
  #calls = 0;
  #parts: readonly string[];
  #failure: Error | undefined;

  /** Starts the thread, which opens a session: see `Session.open`. If that fails, each call fails. */
  constructor(options: SftpOptions, housekeeping: Housekeeping, private readonly on: SftpWorkerEvents) {
    this.#parts = housekeeping.leftovers;
    this.#worker.onmessage = ({ data }: MessageEvent<FromSftpWorker>) => this.#hear(data);
    this.#worker.onerror = (event) => {
      event.preventDefault(); // otherwise the process ends
      this.#fail(
        new TransientError(
          `Cannot continue the delivery: its thread ended (${event.message}). It will be retried.`,
        ),
      );
    };
    this.#tell({ type: "open", options, housekeeping });
  }

  /** @throws what the session throws. */
  call<C extends keyof Calls>(
    call: C,
    item: Parameters<Calls[C]>[0],
    onMoved: OnMoved = () => {},
  ): ReturnType<Calls[C]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure) as ReturnType<Calls[C]>;
    const id = this.#calls++;
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<Calls[C]>>>();
    this.#waiting.set(id, { resolve, reject, onMoved });
    this.#tell({ type: "call", id, call, item });
    return promise as ReturnType<Calls[C]>;
  }

  /** Makes all current and later calls fail, and removes temporary files. */
  abort(): void {
    this.#tell({ type: "abort" });
  }

  /** Ends the connection, orderly if the server still answers, and the thread. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#tell({ type: "close" });
    const timer = setTimeout(this.#closed.resolve, GOODBYE_MS);
    await this.#closed.promise;
    clearTimeout(timer);
    this.#worker.terminate();
    this.on.closed(this.#parts);
  }

  #tell(message: ToSftpWorker): void {
    this.#worker.postMessage(message);
  }

  #hear(message: FromSftpWorker): void {
    if (message.type === "closed") return this.#closed.resolve();
    if (message.type === "parts") return void (this.#parts = message.paths);
    if (message.type === "stale removed") return this.on.staleRemoved();
    const waiting = this.#waiting.get(message.id);
    if (message.type === "moved") return waiting?.onMoved(message.sent, message.read);
    this.#waiting.delete(message.id);
    if (message.type === "done") waiting?.resolve(message.value as never);
    else waiting?.reject(errorOf(message.failure));
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#closed.resolve();
  }
}
