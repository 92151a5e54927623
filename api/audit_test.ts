import assert from "node:assert/strict";
import { failWritesAt, type Fault, FAULTS } from "../tests/support/failing_writes.ts";
import { openAuditLog } from "./audit.ts";

Deno.test("audit entries are appended as whole lines, in order, to a file that only its owner can read", async () => {
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

Deno.test("a disk that is full or fails at any write of the audit log corrupts only the entry being written", async () => {
  const entry = (action: string) => ({ at: "t", who: "w", from: "f", action, about: {}, outcome: "o" });
  for (const fault of Object.keys(FAULTS) as Fault[]) {
    for (let at = 1, isReached = true; isReached; at++) {
      const folder = await Deno.makeTempDir();
      const path = `${folder}/audit.jsonl`;
      try {
        {
          await using log = await openAuditLog(path);
          await log.append(entry("before"));
          {
            using disk = failWritesAt(at, fault);
            await log.append(entry("during")).catch((error) => assert.equal(error.code, fault));
            isReached = disk.hasFailed;
          }
          await log.append(entry("after"));
        }
        const actions = (await Deno.readTextFile(path)).split("\n").flatMap((line) => {
          try {
            return [JSON.parse(line).action];
          } catch {
            return [];
          }
        });
        const others = actions.filter((action) => action !== "during");
        assert.deepEqual(others, ["before", "after"], `${fault} at step ${at}`);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    }
  }
});

Deno.test("a full audit log is rotated, the newest five full ones are kept, and only the owner can read them", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/state/audit.jsonl`;
  const entry = (n: number) => ({ at: "t", who: "w", from: "f", action: `${n}`, about: {}, outcome: "o" });
  const size = new TextEncoder().encode(`${JSON.stringify(entry(1))}\n`).length;
  try {
    for (const numbers of [[1, 2, 3, 4], [5, 6, 7], [8, 9]]) {
      await using log = await openAuditLog(path, size);
      await Promise.all(numbers.map((n) => log.append(entry(n))));
    }
    const names = (await Array.fromAsync(Deno.readDir(`${folder}/state`))).map(({ name }) => name).sort();
    assert.deepEqual(names, ["audit.jsonl", ...[1, 2, 3, 4, 5].map((n) => `audit.jsonl.${n}`)]);
    const actions = await Promise.all(names.map(async (name) => {
      const { action } = JSON.parse(await Deno.readTextFile(`${folder}/state/${name}`));
      assert.equal((await Deno.stat(`${folder}/state/${name}`)).mode! & 0o777, 0o600);
      return action;
    }));
    assert.deepEqual(actions, ["9", "8", "7", "6", "5", "4"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
