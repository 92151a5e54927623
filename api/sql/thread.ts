/** The thread of the SQL console's process in which SQLite works. */
import { setPriority } from "node:os";
import { type Bounds, Engine } from "./engine.ts";
import { SqlRefused } from "./errors.ts";

export interface Question {
  readonly path: string;
  readonly bounds: Bounds;
  readonly sql: string;
}

/** Bytes to write to standard output. */
export type Reply = Uint8Array[];

const thread = self as unknown as {
  onmessage: (event: MessageEvent<Question>) => void;
  postMessage(reply: Reply): void;
};
const encoder = new TextEncoder();
let engine: Engine | undefined;

thread.onmessage = ({ data: { path, bounds, sql } }) => {
  try {
    engine ??= new Engine(path, bounds);
    const { rows, ...head } = engine.query(sql);
    const body = encoder.encode(rows);
    thread.postMessage([encoder.encode(`${JSON.stringify({ ...head, bytes: body.length })}\n`), body]);
  } catch (error) {
    if (!(error instanceof SqlRefused)) throw error;
    thread.postMessage([encoder.encode(`${JSON.stringify({ refused: error.message })}\n`)]);
  }
};

setPriority(10); // the priority of this thread: queries give way to the services, the start of the process doesn't
thread.postMessage([encoder.encode("\n")]);
