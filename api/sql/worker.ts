/**
 * The SQL console's process: takes a query, answers it, takes the next one. Whoever started it kills it when a query takes too long, as
 * nothing else stops SQLite.
 *
 * A query is a line of JSON (`{"sql"}`) on standard input. An answer is a line of JSON, `{"columns","truncated","bytes"}` followed by so many
 * bytes of JSON rows, or `{"refused"}` with the reason.
 *
 * @module
 */
import { setPriority } from "node:os";
import { splitLines } from "../../shared/jsonl/lines.ts";
import { type Bounds, Engine } from "./engine.ts";
import { SqlRefused } from "./errors.ts";

/** What the process is started with. */
export interface WorkerOptions extends Bounds {
  /** The database. */
  readonly path: string;
}

if (import.meta.main) {
  setPriority(10); // those who steer the pipeline go first
  await serve(JSON.parse(Deno.args[0]!));
}

async function serve({ path, ...bounds }: WorkerOptions): Promise<void> {
  let engine: Engine | undefined;
  const encoder = new TextEncoder();
  for await (const { lines } of splitLines(Deno.stdin.readable)) {
    for (const line of lines) {
      const { sql } = JSON.parse(line) as { sql: string };
      try {
        engine ??= new Engine(path, bounds);
        const { rows, ...head } = engine.query(sql);
        const body = encoder.encode(rows);
        writeAll(encoder.encode(`${JSON.stringify({ ...head, bytes: body.length })}\n`));
        writeAll(body);
      } catch (error) {
        if (!(error instanceof SqlRefused)) throw error;
        writeAll(encoder.encode(`${JSON.stringify({ refused: error.message })}\n`));
      }
    }
  }
}

function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}
