import assert from "node:assert/strict";
import * as z from "zod";
import { newRunId } from "../../contracts/ids.ts";
import { integer, pipeline } from "../../pipeline/mod.ts";
import { planOf } from "../../pipeline/plan.ts";
import { usersPlan } from "../../../tests/support/users.ts";
import { openSqlite } from "./open.ts";
import { linesOf, tempStore } from "../../../tests/support/store.ts";
import { shownOf } from "../shown.ts";

const things = planOf(pipeline({
  name: "things",
  record: z.object({
    sku: z.string(),
    price: z.number().min(0),
    owner: z.unknown().optional(),
    size: integer.optional(),
  }),
  key: "sku",
  source: { url: "https://example.com/things", paging: { by: "none" } },
  mask: ["owner"],
}));

Deno.test("each pipeline has its own tables, columns and mask, and its runs don't appear in another's", async () => {
  await using temp = await tempStore();
  await using store = await openSqlite(temp.path, { pipelines: [shownOf(usersPlan), shownOf(things)] });
  const load = async (name: string, texts: string[]) => {
    const run = { runId: newRunId(), pipeline: name, at: new Date().toISOString() };
    await store.announceRun(run);
    for (const kind of ["raw", "processed", "invalid"] as const) {
      await store.loadFile(
        { runId: run.runId, pipeline: name, kind, name: `data/${kind}_${name}/a.jsonl` },
        linesOf(kind === "raw" ? texts : []),
      );
    }
    await store.markLoaded({
      ...run,
      rawFile: "data/a",
      processedFile: "data/b",
      dlqFile: "data/c",
      validCount: 0,
      invalidCount: 0,
    });
    return run.runId;
  };
  const user = await load("users", ['{"id":1,"ssn":"123"}']);
  const thing = await load("things", ['{"sku":"a","owner":"Ada","tags":["x"]}', '{"sku":"b"}']);
  const { records, runs } = store;
  assert.deepEqual(await records.tables(), [
    "raw_things",
    "processed_things",
    "invalid_things",
    "raw_users",
    "processed_users",
    "invalid_users",
  ]);
  assert.deepEqual([await records.count("raw_things"), await records.count("raw_users")], [2, 1]);
  assert.deepEqual(
    (await records.page("raw_things", {}, { limit: 10 })).map(({ run_id, record }) => [run_id, record]),
    [
      [thing, { sku: "a", owner: "***", tags: ["x"] }],
      [thing, { sku: "b" }],
    ],
  );
  assert.deepEqual(
    (await records.page("raw_users", {}, { limit: 10 })).map(({ run_id, record }) => [run_id, record]),
    [
      [user, { id: 1, ssn: "***" }],
    ],
  );
  const { columns, rows } = await records.rows("raw_things", { limit: 1, offset: 0 });
  assert.deepEqual(columns.slice(0, 6), ["sku", "price", "owner", "size", "tags", "run_id"]);
  assert.deepEqual(rows[0]!.slice(0, 5), ["a", null, "***", null, '["x"]']);
  assert.deepEqual(
    (await runs.list({ pipeline: "things" }, { limit: 9, offset: 0 })).map((run) => run.run_id),
    [
      thing,
    ],
  );
  await assert.rejects(() => records.count("raw_nothing"), /wanted one of raw_things, .*invalid_users/);
});

Deno.test("a pipeline whose definition was removed keeps its tables, its runs and its mask", async () => {
  await using temp = await tempStore();
  {
    await using store = await openSqlite(temp.path, { pipelines: [shownOf(things)] });
    await store.loadFile(
      { runId: "run-1", pipeline: "things", kind: "raw", name: "data/raw_things/a.jsonl" },
      linesOf(['{"sku":"a","owner":"Ada"}']),
    );
  }
  await using store = await openSqlite(temp.path, { pipelines: [shownOf(usersPlan)] });
  const [row] = await store.records.page("raw_things", {}, { limit: 1 });
  assert.deepEqual(row!.record, { sku: "a", owner: "***" });
});
