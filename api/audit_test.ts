import assert from "node:assert/strict";
import { openAuditLog } from "./audit.ts";

Deno.test("audit entries are appended as whole lines, in order, after those that are there, for the owner's eyes alone", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/state/audit.jsonl`;
  const entry = (action: string) => ({
    at: "2026-11-24T03:00:07.123Z",
    who: "token:0a1b2c3d",
    from: "127.0.0.1",
    action,
    about: { runId: "r" },
    outcome: "StartRunSuccess",
  });
  try {
    for (const names of [["a", "b"], ["c"]]) {
      await using log = await openAuditLog(path);
      await Promise.all(names.map((name) => log.append(entry(name))));
    }
    const lines = (await Deno.readTextFile(path)).split("\n");
    assert.equal(lines.pop(), "");
    assert.deepEqual(lines.map((line) => JSON.parse(line)), ["a", "b", "c"].map(entry));
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
