/**
 * The audit log: who did what, one JSON object a line, only ever appended to.
 *
 * @module
 */
import { dirname } from "node:path";
import type { AuditEntry, AuditLog } from "./ports.ts";

/** Opens the log at `path`, such as `data/state/audit.jsonl`; makes it and its folder where they aren't there. */
export async function openAuditLog(path: string): Promise<AuditLog & AsyncDisposable> {
  await Deno.mkdir(dirname(path), { recursive: true });
  const file = await Deno.open(path, { append: true, create: true, mode: 0o600 });
  let last: Promise<void> = Promise.resolve();
  return {
    append(entry: AuditEntry): Promise<void> {
      const line = new TextEncoder().encode(`${JSON.stringify(entry)}\n`);
      const written = last.then(async () => {
        // one write, so that a line is whole or not there
        for (let at = 0; at < line.length;) at += await file.write(line.subarray(at));
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
