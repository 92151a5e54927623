/**
 * Tests the current state in every store.
 *
 * @module
 */
import assert from "node:assert/strict";
import { newRunId } from "../../shared/contracts/ids.ts";
import type { ChangeCursor, Conditions, CurrentCursor } from "../../shared/store/current_rows.ts";
import type { Store } from "../../shared/store/store.ts";
import { loadTexts } from "../support/store.ts";
import type { UsingStore } from "./store.ts";

async function load(store: Store, valid: string[], requestedAt = Date.now()): Promise<string> {
  const run = { runId: newRunId(requestedAt), pipeline: "users", at: new Date().toISOString() };
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

export async function currentCases(usingStore: UsingStore): Promise<void> {
  await usingStore(
    "keys beyond 2^53 keep their digits in pages, cursors, changes and searches",
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
    "changes are counted, and the keys below a masked field aren't shown",
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

  await usingStore(
    "a run that was requested by a clock far ahead doesn't count as newer than those after it",
    async ({ store: { current, runs }, store }) => {
      const ahead = await load(store, ['{"id":1,"age":30}', '{"id":2}'], Date.now() + 365 * 86_400_000);
      const { run_timestamp } = (await runs.byRunId(ahead))!;
      assert.ok(Math.abs(Date.parse(run_timestamp) - Date.now()) < 60_000, run_timestamp);
      const next = await load(store, ['{"id":1,"age":31}']);
      assert.deepEqual(
        (await current.page("users", {}, { limit: 9 })).map(({ key, changed_run }) => [key, changed_run]),
        [[1, next]],
      );
      const requested = newRunId(Date.now() + 365 * 86_400_000);
      const at = new Date().toISOString();
      await store.record([{
        id: "ahead",
        version: 1,
        type: "run_requested",
        run_id: requested,
        published_at: at,
        requested_by: "ana",
        actor: "api",
        pipeline: "users",
      }]);
      assert.ok((await runs.byRunId(requested))!.run_timestamp < new Date(Date.now() + 60_000).toISOString());
    },
  );

  await usingStore("no key is null", async ({ store: { current }, store }) => {
    await load(store, ['{"id":1}']);
    assert.deepEqual(await current.page("users", { id: { eq: null } }, { limit: 9 }), []);
  });

  await usingStore(
    "pages of matching rows have neither gaps nor repeats, forwards and backwards",
    async ({ store: { current }, store }) => {
      const names = ["Bo", "bO", "Ann", "Bo", "Ch", "b%", "Anna", "BO"];
      await load(
        store,
        names.map((firstName, at) => JSON.stringify({ id: 20 - at, firstName, age: 20 + at % 3 })),
      );
      const wheres: Conditions[] = [
        {},
        { firstName: { gt: "Ann" } },
        { firstName: { lt: "b%" } },
        { firstName: { gt: "An", lt: "Ch" } },
        { firstName: { like: "b%" } },
        { firstName: { in: ["Bo", "BO", "Ann"] } },
        { age: { gt: 20 }, firstName: { like: "%o" } },
        { id: { gt: 13, lt: 19 } },
      ];
      for (const where of wheres) {
        const all = await current.page("users", where, { limit: 100 });
        const keys = all.map(({ key }) => key);
        assert.ok(keys.length > 1, JSON.stringify(where));
        const forwards = [];
        let after: CurrentCursor | undefined;
        for (;;) {
          const page = await current.page("users", where, { limit: 2, after });
          forwards.push(...page);
          if (page.length < 2) break;
          after = page.at(-1)!.cursor;
        }
        assert.deepEqual(forwards.map(({ key }) => key), keys, JSON.stringify(where));
        const backwards = [];
        let before: CurrentCursor | undefined;
        for (;;) {
          const page = await current.page("users", where, { limit: 2, before, from: "end" });
          backwards.unshift(...page);
          if (page.length < 2) break;
          before = page[0]!.cursor;
        }
        assert.deepEqual(backwards.map(({ key }) => key), keys, JSON.stringify(where));
      }
    },
  );

  await usingStore(
    "a processed line that isn't JSON, or has no key, stops no load and isn't part of the current state",
    async ({ store: { current }, store }) => {
      for (
        const first of [["not json", "[1]", '{"id":1}', '{"firstName":"A"}'], ['{"id":1}', "not json", "7"]]
      ) {
        const runId = await load(store, first);
        assert.deepEqual((await current.page("users", {}, { limit: 9 })).map(({ key }) => key), [1]);
        assert.equal(await store.records.count("processed_users", runId), first.length);
      }
    },
  );
}
