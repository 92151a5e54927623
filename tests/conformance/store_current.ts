/**
 * What every store answers about the current state.
 *
 * @module
 */
import assert from "node:assert/strict";
import { newRunId } from "../../shared/contracts/ids.ts";
import type { ChangeCursor, CurrentCursor } from "../../shared/store/current_rows.ts";
import type { Store } from "../../shared/store/store.ts";
import { loadTexts } from "../support/store.ts";
import type { UsingStore } from "./store.ts";

async function load(store: Store, valid: string[]): Promise<string> {
  const run = { runId: newRunId(), pipeline: "users", at: new Date().toISOString() };
  await store.announceRun(run);
  for (const [kind, texts] of [["raw", valid], ["processed", valid], ["invalid", []]] as const) {
    await loadTexts(store, run.runId, kind, [...texts]);
  }
  await store.markLoaded({
    ...run,
    rawFile: "data/a",
    processedFile: "data/b",
    dlqFile: "data/c",
    validCount: valid.length,
    invalidCount: 0,
    completeness: { announced: null, received: valid.length, missing: 0, repeated: 0 },
  });
  return run.runId;
}

/** Runs the cases. */
export async function currentCases(usingStore: UsingStore): Promise<void> {
  await usingStore(
    "keys beyond 2^53 keep their digits in pages, cursors, changes and what is found by them",
    async ({ store: { current }, store }) => {
      const keys = ["5", "9007199254740993", "9007199254740995", "1234567890123456789"];
      const runId = await load(store, keys.map((id) => `{"id":${id},"firstName":"A"}`));
      const page: string[] = [];
      let place: CurrentCursor | undefined;
      for (;;) {
        const [row] = await current.page("users", {}, { limit: 1, after: place });
        if (row === undefined) break;
        page.push(String(row.key));
        place = row.cursor;
      }
      assert.deepEqual(page, keys);
      const changed: string[] = [];
      let after: ChangeCursor | undefined;
      for (;;) {
        const [row] = await current.changes("users", { runId, change: "added" }, { limit: 1, after });
        if (row === undefined) break;
        changed.push(String(row.key));
        after = row.cursor;
      }
      assert.deepEqual(changed, keys);
      assert.deepEqual(await current.changes("users", { runId, change: "removed" }, { limit: 9 }), []);
      for (const [n, key] of keys.entries()) {
        assert.deepEqual((await current.byKeys("users", [key])).map((row) => String(row.key)), [key]);
        assert.equal((await current.changes("users", { key }, { limit: 9 })).length, 1);
        const raw = (await current.rawOf("users", runId, key))!;
        assert.equal((await store.records.byIds("raw", [raw])).get(raw)!.line, n + 1);
      }
    },
  );

  await usingStore(
    "what changed is counted, and the keys below a masked field aren't shown",
    async ({ store: { current }, store }) => {
      await load(store, ['{"id":1,"ssn":{"ada@example.com":1}}', '{"id":2}']);
      const runId = await load(store, ['{"id":1,"ssn":{"ada@example.com":2},"age":3}', '{"id":3}']);
      assert.deepEqual([await current.count("users"), await current.count("users_changes")], [2, 5]);
      const [change] = await current.changes("users", { runId, change: "changed" }, { limit: 9 });
      assert.deepEqual([...change!.fields].sort(), ["age", "ssn"]);
      const { columns, rows } = await current.tableRows("users_changes", { limit: 9, offset: 0 });
      const fields = rows.map((row) => row[columns.indexOf("fields")]).filter((value) => value !== null);
      assert.deepEqual(JSON.parse(String(fields[0])).sort(), ["age", "ssn"]);
      assert.ok(!JSON.stringify(rows).includes("example.com"));
    },
  );

  await usingStore("no key is null", async ({ store: { current }, store }) => {
    await load(store, ['{"id":1}']);
    assert.deepEqual(await current.page("users", { id: { eq: null } }, { limit: 9 }), []);
  });
}
