/**
 * The SQL console's process: answers one query after another. Its parent kills it when a query takes too long, as
 * nothing else stops SQLite. If the parent ends first, standard input closes, and the process ends itself.
 *
 * An empty line on standard output says that it is ready. A query is a line of JSON (`{"sql"}`) on standard input. An
 * answer is a line of JSON, `{"columns","truncated","bytes"}` followed by that many bytes of JSON rows, or `{"refused"}`
 * with the reason.
 */
import { splitLines } from "../../shared/files/lines.ts";
import type { Bounds } from "./engine.ts";
import type { Question, Reply } from "./thread.ts";

export interface WorkerOptions extends Bounds {
  readonly path: string;
}

if (import.meta.main) {
  const thread = new Worker(new URL("./thread.ts", import.meta.url), { type: "module" });
  thread.onmessage = ({ data }: MessageEvent<Reply>) => data.forEach(writeAll);
  thread.onerror = () => Deno.exit(1);
  const { path, ...bounds } = JSON.parse(Deno.args[0]!) as WorkerOptions;
  for await (const { lines } of splitLines(Deno.stdin.readable)) {
    for (const line of lines) {
      const { sql } = JSON.parse(line) as { sql: string };
      thread.postMessage({ path, bounds, sql } satisfies Question);
    }
  }
  Deno.exit(0);
}

function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}
