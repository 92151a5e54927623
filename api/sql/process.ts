import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import type { SqlAnswer } from "../ports.ts";
import type { WorkerOptions } from "./worker.ts";

/** The program itself: a thread's modules are read with the permissions of the process. */
const PROGRAM = [".", "../../shared"].map((folder) => fileURLToPath(new URL(folder, import.meta.url)));

/** V8's heap: at most 256 MiB (SQLite bounds its own memory), and kept small as in the services (`heapOf` in cli/services.ts). */
const HEAP = "--v8-flags=--max-old-space-size=256,--max-semi-space-size=2,--heap-growing-percent=150";

/**
 * A process that answers one query after another. It may read the database and its own program, and inherits no
 * environment.
 */
export class SqlProcess {
  /** Whether it accepts queries; false if it ended before. */
  readonly ready: Promise<boolean>;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<Uint8Array>;

  constructor(options: WorkerOptions) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--no-config",
        "--no-remote",
        "--no-npm",
        HEAP,
        "--allow-sys=setPriority",
        `--allow-read=${[options.path, ...PROGRAM].join(",")}`,
        fileURLToPath(new URL("worker.ts", import.meta.url)),
        JSON.stringify(options),
      ],
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.getReader();
    this.ready = this.#output.read().then(({ done }) => !done, () => false);
  }

  /** After `ready`: returns rows, or why the query was refused; undefined if the process ended before. */
  async ask(sql: string): Promise<SqlAnswer | { refused: string } | undefined> {
    try {
      await this.#input.write(Buffer.from(`${JSON.stringify({ sql })}\n`));
    } catch {
      return undefined; // the process has ended
    }
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    let head: Head | undefined;
    for (;;) {
      const { value, done } = await this.#output.read();
      if (done) return undefined;
      chunks.push(value);
      bytes += value.length;
      if (head === undefined) {
        if (!value.includes(NEWLINE)) continue;
        const all = Buffer.concat(chunks);
        const end = all.indexOf(NEWLINE);
        const answer = JSON.parse(all.toString("utf8", 0, end)) as Head | { refused: string };
        if ("refused" in answer) return answer;
        head = answer;
        chunks.splice(0, chunks.length, all.subarray(end + 1));
        bytes = all.length - end - 1;
      }
      if (bytes === head.bytes) {
        return { columns: head.columns, rows: Buffer.concat(chunks), truncated: head.truncated };
      }
    }
  }

  /** Kills the process, and waits for its end. */
  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // the process has already ended
    }
    await this.#child.status;
    await this.#input.abort().catch(() => {});
    await this.#output.cancel().catch(() => {});
  }
}

interface Head {
  readonly columns: string[];
  readonly truncated: boolean;
  readonly bytes: number;
}

const NEWLINE = 10;
