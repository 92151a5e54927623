import assert from "node:assert/strict";
import { Calendar, runOfDay, timeOfDay } from "../../../tests/support/days.ts";
import { oldDatabase } from "../../../tests/support/old_database.ts";
import { linesOf, loadTexts, tempStore, usersTables } from "../../../tests/support/store.ts";
import type { FileKind } from "../../contracts/names.ts";
import { Database } from "../../sqlite/database.ts";
import { noteGrowth } from "./growth.ts";
import { RunEvent } from "../../contracts/messages.ts";
import { openSqlite, openSqliteToRead, type SqliteStore } from "./open.ts";

/** Returns the texts of a run's file as the database returns them. */
async function textsOf(store: SqliteStore, runId: string, kind: FileKind): Promise<string[]> {
  const file = (await store.runs.filesOf([runId])).get(runId)!.find((file) => file.kind === kind)!;
  return (await Array.fromAsync(store.records.unmaskedLines(file))).map(({ text }) => text);
}

Deno.test("with 1 % of changes a day the file stops growing; kept runs and the current state stay whole", async () => {
  await using temp = await tempStore();
  const { store } = temp;
  const calendar = new Calendar(store, { users: 200, changed: 0.01, bad: 0.02, keepDays: 30 });
  const sizes: number[] = [];
  for (let day = 1; day <= 100; day++) {
    await calendar.day(day);
    sizes.push(Deno.statSync(temp.path).size);
  }
  const [early, late] = [sizes[39]!, sizes.at(-1)!];
  assert.ok(late <= 1.2 * early, `${late} bytes on day 100, ${early} on day 40`);
  const current = await store.current.page("users", {}, { limit: 1000 });
  assert.equal(current.length, 180);
  const newest = new Map(
    (await textsOf(store, runOfDay(100), "processed")).map((text) => JSON.parse(text)).map((
      user,
    ) => [user.id, user]),
  );
  for (const { key, record } of current) assert.deepEqual(record, newest.get(key));
  for (const day of [71, 85, 100]) {
    const file = (await store.runs.filesOf([runOfDay(day)])).get(runOfDay(day))!;
    assert.deepEqual(file.map(({ trimmed_at }) => trimmed_at), [null, null, null]);
    assert.deepEqual(file.map(({ records }) => records), [200, 180, 20]);
    for (const kind of ["raw", "processed", "invalid"] as const) {
      const texts = await textsOf(store, runOfDay(day), kind);
      assert.equal(texts.length, { raw: 200, processed: 180, invalid: 20 }[kind]);
      for (const text of texts) assert.equal(typeof JSON.parse(text).id, "number");
    }
  }
  const counted = await store.write((db) =>
    db.get(
      "SELECT (SELECT count(*) FROM etl_runs) AS runs, (SELECT count(DISTINCT run_id) FROM run_events) AS reported, (SELECT sum(changed) FROM run_moves) AS changed",
    )
  );
  assert.deepEqual(counted, { runs: 100, reported: 31, changed: 179 }, "numbers stay");
  assert.equal(
    await store.records.count("raw_users"),
    await store.write((db) => db.get<{ n: number }>("SELECT count(*) AS n FROM raw_records")!.n),
  );
});

Deno.test("the growth is that of the last 30 days with loads, and predicts when the disk is full", async () => {
  await using temp = await tempStore();
  await using reader = openSqliteToRead(temp.path)!;
  await loadTexts(temp.store, "run-1", "raw", ["{}"]);
  await temp.store.write((db) => noteGrowth(db, "2026-11-30"));
  assert.equal((await reader.growth()).bytesPerDay, null, "of one day nothing follows");
  const { bytes } = await reader.growth();
  await temp.store.write((db) =>
    db.run(
      "INSERT INTO run_growth (day, bytes) VALUES ('2025-01-01', 1), ('2026-11-01', ?1 - 29000), ('2026-11-15', ?1)",
      bytes,
    )
  );
  const { bytesPerDay, freeBytes, daysLeft } = await reader.growth();
  assert.equal(bytesPerDay, 1000);
  assert.equal(daysLeft, freeBytes! / 1000);
});

interface Loaded {
  readonly valid?: string[];
  readonly invalid?: string[];
  readonly status?: string;
  readonly correctionOf?: string;
  readonly corrects?: number[];
}

/** Loads a run on a day. */
async function load(
  store: SqliteStore,
  day: number,
  { valid = [], invalid = [], status = "COMPLETED", ...link }: Loaded,
) {
  const run = { runId: runOfDay(day), pipeline: "users", at: timeOfDay(day), ...link };
  await store.announceRun(run);
  for (
    const [kind, texts] of [["raw", [...valid, ...invalid]], ["processed", valid], [
      "invalid",
      invalid,
    ]] as const
  ) {
    await store.loadFile(
      { runId: run.runId, pipeline: "users", kind, name: `data/${kind}/${day}` },
      linesOf([...texts]),
    );
  }
  const counts = { validCount: valid.length, invalidCount: invalid.length };
  await store.markLoaded({
    ...run,
    rawFile: "a",
    processedFile: "b",
    dlqFile: "c",
    ...counts,
    fields: ["id"],
    completeness: { announced: null, received: valid.length + invalid.length, missing: 0, repeated: 0 },
  });
  await store.write((db) => {
    db.run(
      "UPDATE etl_runs SET loaded_at = ?2, status = ?3, status_at = ?2 WHERE run_id = ?1",
      run.runId,
      run.at,
      status,
    );
    db.run("UPDATE run_files SET loaded_at = ?2 WHERE run_id = ?1", run.runId, run.at);
  });
  return run.runId;
}

const user = (id: number, age = 20) => JSON.stringify({ id, age });
const bad = (id: number) => JSON.stringify({ id, error_reason: "age: missing" });

Deno.test("runs that have not ended, uncorrected runs and needed records stay; resolved invalid records are removed", async () => {
  await using temp = await tempStore();
  const { store } = temp;
  await load(store, 1, { valid: [user(1), user(2)], invalid: [bad(5), bad(6), bad(7), bad(8), "not json"] });
  await load(store, 2, { valid: [user(1), user(2, 30)], invalid: [], status: "DELIVERY_PENDING" });
  // 6 was valid later, 5 was corrected, 8 is invalid again in the last run
  await load(store, 3, { valid: [user(5)], correctionOf: runOfDay(1), corrects: [1] });
  await load(store, 4, { valid: [user(1), user(2, 31), user(6)], invalid: [bad(8)] });
  await store.trim(timeOfDay(10));
  assert.deepEqual(
    await textsOf(store, runOfDay(1), "processed"),
    [user(1)],
    "the current record of 1 stands here",
  );
  assert.deepEqual(await textsOf(store, runOfDay(1), "raw"), [user(1)]);
  assert.deepEqual(await textsOf(store, runOfDay(1), "invalid"), [bad(7), bad(8), "not json"]);
  assert.deepEqual(
    await textsOf(store, runOfDay(2), "processed"),
    [user(1), user(2, 30)],
    "it has not ended",
  );
  assert.deepEqual(await textsOf(store, runOfDay(3), "processed"), [user(5)].slice(1), "5 is gone since");
  assert.deepEqual(
    await textsOf(store, runOfDay(4), "processed"),
    [user(1), user(2, 31), user(6)],
    "the newest stays",
  );
  const [file] = (await store.runs.filesOf([runOfDay(1)])).get(runOfDay(1))!;
  assert.deepEqual([file!.records, file!.kept], [7, 1]);
  assert.deepEqual(await store.trim(timeOfDay(10)), { runs: 0, records: 0, events: 0 });
  await using reader = openSqliteToRead(temp.path)!;
  assert.deepEqual(await reader.trimmable(timeOfDay(10)), []);
});

Deno.test("a file that keeps some of its records isn't rewritten by later trims", async () => {
  await using temp = await tempStore();
  const { store } = temp;
  for (let day = 1; day <= 3; day++) await load(store, day, { valid: [user(1), user(2, day)] });
  await store.trim(timeOfDay(10));
  const [file] = (await store.runs.filesOf([runOfDay(1)])).get(runOfDay(1))!;
  assert.equal(file!.kept, 1);
  await store.write((db) =>
    db.script(
      `CREATE TEMP TABLE written (id);
       CREATE TEMP TRIGGER files AFTER UPDATE ON main.run_files BEGIN INSERT INTO written VALUES (new.id); END`,
    )
  );
  assert.deepEqual(await store.trim(timeOfDay(10)), { runs: 0, records: 0, events: 0 });
  assert.deepEqual(await store.write((db) => db.all("SELECT id FROM written")), []);
});

Deno.test("trims that start at once remove no more than one does", async () => {
  await using temp = await tempStore();
  const { store } = temp;
  for (let day = 1; day <= 3; day++) await load(store, day, { valid: [user(1), user(2, day)] });
  const trims = await Promise.all([store.trim(timeOfDay(10)), store.trim(timeOfDay(10))]);
  assert.deepEqual(trims, [{ runs: 2, records: 6, events: 0 }, { runs: 0, records: 0, events: 0 }]);
  for (const kind of ["raw", "processed"] as const) {
    assert.deepEqual(await textsOf(store, runOfDay(1), kind), [user(1)]);
  }
});

Deno.test("a trim that waits for another process ends when it is stopped", async () => {
  await using temp = await tempStore();
  using other = new Database(temp.path);
  other.run("BEGIN IMMEDIATE");
  const stop = new AbortController();
  const trimmed = temp.store.trim(timeOfDay(10), { signal: stop.signal });
  stop.abort();
  await assert.rejects(trimmed, { name: "AbortError" });
});

Deno.test("free space is returned to the disk; in a database of an older version it is reused", async () => {
  await using temp = await tempStore();
  await using old = await oldDatabase();
  await using oldStore = await openSqlite(old.path, { pipelines: usersTables([]) });
  const fill = async (store: SqliteStore) => {
    const texts = Array.from({ length: 2_000 }, (_, n) => JSON.stringify({ id: n, text: "x".repeat(1000) }));
    await loadTexts(store, crypto.randomUUID(), "invalid", texts);
    await store.write((db) => db.run("DELETE FROM invalid_records"));
    await store.trim(timeOfDay(1));
  };
  const size = ({ path }: { path: string }) => Deno.statSync(path).size;
  await temp.store.tidy();
  const before = size(temp);
  await fill(temp.store);
  assert.ok(size(temp) <= before + 100_000);

  await fill(oldStore);
  const large = size(old);
  assert.ok(large > 2_000_000);
  await fill(oldStore);
  assert.ok(size(old) <= large + 100_000);
  await using reader = openSqliteToRead(old.path)!;
  assert.equal((await reader.growth()).toGiveBack?.includes("VACUUM"), true);
});

Deno.test("a run whose events were removed keeps its row: repeated events change nothing, later ones start from it", async () => {
  await using temp = await tempStore();
  const { store } = temp;
  const runId = await load(store, 1, { valid: [user(1)] });
  await load(store, 2, { valid: [user(1)] });
  const event = (id: string, published_at: string, more: Record<string, unknown>) =>
    RunEvent.parse({ id, run_id: runId, pipeline: "users", actor: "api", published_at, ...more });
  const requested = event("asked", timeOfDay(1), { type: "run_requested", requested_by: "ana" });
  const ended = event("ended", timeOfDay(1).replace("03:", "04:"), {
    type: "phase_completed",
    actor: "courier",
    phase: "DELIVERING",
    detail: { state: "DELIVERED" },
  });
  await store.record([requested, ended]);
  const before = await store.runs.byRunId(runId);
  assert.equal((await store.trim(timeOfDay(10))).events, 2);
  assert.deepEqual((await store.runs.eventsOf([runId])).get(runId), []);
  assert.deepEqual(await store.runs.byRunId(runId), before);

  await store.record([requested]);
  assert.deepEqual(await store.runs.byRunId(runId), before);
  await store.record([
    event("again", timeOfDay(20), {
      type: "phase_started",
      actor: "courier",
      phase: "DELIVERING",
      attempt: 1,
    }),
  ]);
  const after = await store.runs.byRunId(runId);
  assert.deepEqual([after!.status, after!.requested_by, after!.delivery_state], [
    "DELIVERING",
    "ana",
    "PENDING",
  ]);
});
