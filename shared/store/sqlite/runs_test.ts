import assert from "node:assert/strict";
import { newRunId } from "../../contracts/ids.ts";
import type { RunStatus } from "../../contracts/messages.ts";
import type { Database } from "../../sqlite/database.ts";
import { writeRunState } from "../sql/run_writes.ts";
import { sqlOf } from "./statements.ts";
import { loadTexts, tempStore } from "../../../tests/support/store.ts";
import { leastMs } from "../../../tests/support/timing.ts";
import type { RunRow } from "../rows.ts";
import type { RunToLoad } from "../writes.ts";

const DAY = Date.UTC(2026, 10, 24);

/** Adds ten runs, a minute apart. Every third has failed, the others are loaded. */
async function addRuns(db: Database, count = 10): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, n) => newRunId(DAY + n * 60_000));
  for (const [n, runId] of ids.entries()) {
    const status: RunStatus = n % 3 === 0 ? "FAILED" : "COMPLETED";
    await writeRunState(sqlOf(db), runId, {
      status,
      status_at: new Date(DAY + n * 60_000).toISOString(),
      pipeline: null,
      source: null,
      requested_by: "cli",
      started_at: null,
      finished_at: null,
      correction_of: null,
      superseded_by: null,
      failure_phase: null,
      failure_reason: null,
      failure_retryable: null,
      delivery_state: null,
      delivery_error: null,
      delivered_at: null,
      since: null,
      completeness: null,
    });
    if (status === "COMPLETED") db.run("UPDATE etl_runs SET loaded_at = status_at WHERE run_id = ?", runId);
  }
  return ids;
}

const idsOf = (rows: RunRow[]) => rows.map((row) => row.id);

Deno.test("runs are listed newest first, by offset, with their number", async () => {
  await using temp = await tempStore();
  await temp.store.write(async (db) => void await addRuns(db));
  const { runs } = temp.store;
  assert.deepEqual(idsOf(await runs.list({}, { limit: 3, offset: 0 })), [10, 9, 8]);
  assert.deepEqual(idsOf(await runs.list({}, { limit: 3, offset: 8 })), [2, 1]);
  assert.equal(await runs.count(), 10);
});

Deno.test("filters combine: status, time, and having reached the load", async () => {
  await using temp = await tempStore();
  await temp.store.write(async (db) => void await addRuns(db));
  const { runs } = temp.store;
  const list = async (filter: Parameters<typeof runs.list>[0]) => {
    const found = idsOf(await runs.list(filter, { limit: 100, offset: 0 }));
    assert.equal(await runs.count(filter), found.length);
    return found;
  };
  const at = (minute: number) => new Date(DAY + minute * 60_000).toISOString();
  assert.deepEqual(await list({ status: ["FAILED"] }), [10, 7, 4, 1]);
  assert.deepEqual((await list({ status: ["FAILED", "COMPLETED"] })).length, 10);
  assert.deepEqual(await list({ status: [] }), []);
  assert.deepEqual(await list({ since: at(7) }), [10, 9, 8]);
  assert.deepEqual(await list({ until: at(2) }), [2, 1]);
  assert.deepEqual(await list({ loaded: true, since: at(5) }), [9, 8, 6]);
  assert.deepEqual(await list({ loaded: true }), [9, 8, 6, 5, 3, 2]);
});

Deno.test("pages cover all runs, forwards and backwards, also if many have the same time", async () => {
  await using temp = await tempStore();
  await temp.store.write(async (db) => {
    await addRuns(db);
    db.run(
      "UPDATE etl_runs SET run_timestamp = ? WHERE id IN (4, 5, 6, 7)",
      new Date(DAY + 4 * 60_000).toISOString(),
    );
  });
  const { runs } = temp.store;
  const all = await runs.list({}, { limit: 100, offset: 0 });

  const forwards: RunRow[] = [];
  for (
    let rows = await runs.page({}, { limit: 3 });
    rows.length > 0;
    rows = await runs.page({}, { limit: 3, after: forwards.at(-1) })
  ) {
    forwards.push(...rows);
  }
  assert.deepEqual(forwards, all);

  const backwards: RunRow[] = [];
  for (
    let rows = await runs.page({}, { limit: 3, from: "end" });
    rows.length > 0;
    rows = await runs.page({}, { limit: 3, from: "end", before: backwards[0] })
  ) {
    backwards.unshift(...rows);
  }
  assert.deepEqual(backwards, all);
  assert.deepEqual(await runs.page({}, { limit: 100, after: all[1], before: all[5] }), all.slice(2, 5));
});

Deno.test("the first page, a deep page and the count of 100,000 runs take milliseconds, whatever the filter", async () => {
  await using temp = await tempStore();
  await temp.store.write((db) => {
    db.script(`
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
      INSERT INTO etl_runs (run_timestamp, run_id, status, status_at, loaded_at)
      SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 1e9 + i * 60, 'unixepoch'), 'run-' || i,
        CASE WHEN i % 1000 = 0 THEN 'FAILED' WHEN i % 1000 = 1 THEN 'DELIVERY_PENDING' ELSE 'COMPLETED' END, '', ''
      FROM n`);
  });
  const { runs } = temp.store;
  const middle = (await runs.byRunId("run-50000"))!;
  const reads = {
    first: () => runs.list({ loaded: true }, { limit: 100, offset: 0 }),
    deep: () => runs.page({}, { limit: 100, after: middle }),
    back: () => runs.page({}, { limit: 100, before: middle, from: "end" }),
    one: () => runs.page({ status: ["FAILED"] }, { limit: 100 }),
    several: () => runs.page({ status: ["FAILED", "DELIVERY_PENDING"] }, { limit: 100 }),
    common: () => runs.page({ status: ["FAILED", "COMPLETED"] }, { limit: 100 }),
    count: async () => [await runs.count({ loaded: true })],
  };
  for (const [name, read] of Object.entries(reads)) {
    assert((await read()).length > 0, name);
    const took = await leastMs(read);
    assert(took < 100, `${name} took ${took} ms`);
  }
});

Deno.test("data of several runs is read at once, and runs without any get an empty list", async () => {
  await using temp = await tempStore();
  const [a, b] = [newRunId(DAY), newRunId(DAY + 1)];
  await loadTexts(temp.store, a, "raw", ["{}"]);
  await loadTexts(temp.store, a, "invalid", ["{}", "{}"]);
  const delivery = {
    kind: "raw" as const,
    name: "data/raw.jsonl",
    remote_path: "/upload/raw.jsonl",
    sha256: "c".repeat(64),
    bytes: 2,
    verified: "size" as const,
    encrypted: false,
    delivered_at: new Date(DAY).toISOString(),
  };
  await temp.store.recordDelivery(a, [delivery]);
  await temp.store.recordDelivery(a, [{
    ...delivery,
    verified: "content",
    encrypted: true,
    sealed_sha256: "e".repeat(64),
  }]);

  const files = await temp.store.runs.filesOf([a, b]);
  assert.deepEqual(files.get(a)!.map((file) => [file.kind, file.records]), [["raw", 1], ["invalid", 2]]);
  assert.deepEqual(files.get(b), []);
  const noted = [{
    id: 1,
    run_id: a,
    ...delivery,
    verified: "content",
    encrypted: 1,
    sealed_sha256: "e".repeat(64),
  }];
  assert.deepEqual(
    await temp.store.runs.deliveriesOf([a, b]),
    new Map<string, unknown>([[a, noted], [b, []]]),
  );
  assert.deepEqual(await temp.store.runs.deliveriesOfContent("c".repeat(64)), noted);
  assert.deepEqual(await temp.store.runs.deliveriesOfContent("d".repeat(64)), []);
});

Deno.test("an announced run takes its time from its id; a repeat or a late event changes neither time nor number", async () => {
  await using temp = await tempStore();
  const runId = newRunId(DAY);
  const run: RunToLoad = {
    runId,
    pipeline: "users",
    at: new Date(DAY + 5000).toISOString(),
    source: "https://example.com/users",
  };
  await temp.store.announceRun(run);
  await temp.store.announceRun({ ...run, at: new Date(DAY + 9000).toISOString() });
  const row = (await temp.store.runs.byRunId(runId))!;
  assert.equal(row.run_timestamp, new Date(DAY).toISOString());
  assert.deepEqual([row.id, row.status, row.status_at, row.source], [1, "LOADING", run.at, run.source]);
  assert.deepEqual(await temp.store.runs.byId(1), row);
  assert.deepEqual(await temp.store.runs.byRunIds([runId, "none"]), new Map([[runId, row]]));
  assert.equal(await temp.store.runs.byId(2), undefined);
});
