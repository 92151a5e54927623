/** The audit log: who did what, one JSON object per line, append-only. */
import { dirname } from "node:path";
import type { AuditEntry, AuditLog } from "./ports.ts";

/** Size in bytes from which a file is full and the next one begins. */
const MAX_BYTES = 10_000_000;

/** Number of full files that are kept: `audit.jsonl.1` is the newest. */
const KEPT = 5;

/**
 * Opens the log at `path`, such as `data/state/audit.jsonl`, and creates it and its folder if they are missing. Before
 * it grows beyond `maxBytes` it is renamed; the newest five full files are kept.
 */
export async function openAuditLog(path: string, maxBytes = MAX_BYTES): Promise<AuditLog & AsyncDisposable> {
  await Deno.mkdir(dirname(path), { recursive: true });
  let file = await open();
  let bytes = (await file.stat()).size;
  let isTorn = false;
  let last: Promise<void> = Promise.resolve();

  function open(): Promise<Deno.FsFile> {
    return Deno.open(path, { append: true, create: true, mode: 0o600 });
  }

  async function rotate(): Promise<void> {
    for (let n = KEPT; n > 0; n--) {
      await Deno.rename(n === 1 ? path : `${path}.${n - 1}`, `${path}.${n}`).catch(ignoreMissing);
    }
    const full = file;
    file = await open();
    full.close();
    bytes = 0;
  }

  return {
    append(entry: AuditEntry): Promise<void> {
      const written = last.then(async () => {
        // a line that a full disk cut off must not corrupt the next one
        const line = new TextEncoder().encode(`${isTorn ? "\n" : ""}${JSON.stringify(entry)}\n`);
        if (bytes > 0 && bytes + line.length > maxBytes) await rotate();
        isTorn = true;
        // one write, so that a line is written completely or not at all
        for (let at = 0; at < line.length;) at += await file.write(line.subarray(at));
        isTorn = false;
        bytes += line.length;
        await file.syncData();
      });
      last = written.catch(() => {});
      return written;
    },
    async [Symbol.asyncDispose]() {
      await last;
      file.close();
    },
  };
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
