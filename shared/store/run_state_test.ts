import assert from "node:assert/strict";
import fc from "fast-check";
import { newRunId } from "../contracts/ids.ts";
import { PHASES, RunEvent } from "../contracts/messages.ts";
import type { SqliteStore } from "./sqlite/open.ts";
import type { RunRow } from "./rows.ts";
import { tempStore } from "../../tests/support/store.ts";
import { leastMs } from "../../tests/support/timing.ts";

const START = Date.UTC(2026, 10, 24, 3);
const at = (ms: number) => new Date(START + ms).toISOString();

/** Returns a function that creates events of one run, each with the next second and the next id. */
function teller(runId: string) {
  let reported = 0;
  return (fields: Record<string, unknown>): RunEvent =>
    RunEvent.parse({
      id: `${runId}/${reported}`,
      published_at: at(1000 * reported++),
      run_id: runId,
      actor: "extractor",
      ...fields,
    });
}

async function rowAfter(store: SqliteStore, ...events: RunEvent[]): Promise<RunRow> {
  for (const event of events) await store.record([event]);
  return (await store.runs.byRunId(events[0]!.run_id))!;
}

Deno.test("runs are numbered without gaps, however many events each has", async () => {
  await using temp = await tempStore();
  const ids: number[] = [];
  for (let run = 0; run < 3; run++) {
    const tell = teller(newRunId(START + run));
    const reported = PHASES.map((phase) => tell({ type: "phase_started", phase, attempt: 1 }));
    ids.push((await rowAfter(temp.store, ...reported)).id);
  }
  assert.deepEqual(ids, [1, 2, 3]);
});

Deno.test("a run proceeds from its request to its delivery", async () => {
  await using temp = await tempStore();
  const runId = newRunId(START);
  const tell = teller(runId);
  const requested = await rowAfter(temp.store, tell({ type: "run_requested", requested_by: "api" }));
  assert.deepEqual([requested.status, requested.requested_by, requested.started_at], [
    "REQUESTED",
    "api",
    null,
  ]);
  assert.equal(requested.run_timestamp, at(0));

  for (const phase of PHASES) {
    const started = await rowAfter(temp.store, tell({ type: "phase_started", phase, attempt: 1 }));
    assert.deepEqual([started.status, started.started_at, started.finished_at], [phase, at(1000), null]);
    assert.equal(started.delivery_state, phase === "DELIVERING" ? "PENDING" : null);
    const detail = phase === "EXTRACTING"
      ? { source: "https://example.com/users" }
      : phase === "DELIVERING"
      ? { state: "DELIVERED" }
      : {};
    await rowAfter(temp.store, tell({ type: "phase_completed", phase, detail }));
  }
  const done = (await temp.store.runs.byRunId(runId))!;
  assert.deepEqual(
    [done.status, done.status_at, done.finished_at, done.delivery_state, done.delivered_at, done.source],
    ["COMPLETED", at(8000), at(8000), "DELIVERED", at(8000), "https://example.com/users"],
  );
  assert.equal(done.id, requested.id);
  assert.deepEqual((await temp.store.runs.eventsOf([runId])).get(runId)!.map((event) => event.id).length, 9);
});

Deno.test("a failed run reports where and why, until it is resumed", async () => {
  await using temp = await tempStore();
  const tell = teller(newRunId(START));
  const failed = await rowAfter(
    temp.store,
    tell({ type: "phase_started", phase: "EXTRACTING", attempt: 1 }),
    tell({ type: "run_failed", phase: "EXTRACTING", reason: "HTTP 503", retryable: true }),
  );
  assert.deepEqual(
    [
      failed.status,
      failed.finished_at,
      failed.failure_phase,
      failed.failure_reason,
      failed.failure_retryable,
    ],
    ["FAILED", at(1000), "EXTRACTING", "HTTP 503", 1],
  );
  const again = await rowAfter(temp.store, tell({ type: "phase_started", phase: "EXTRACTING", attempt: 2 }));
  assert.deepEqual(
    [
      again.status,
      again.started_at,
      again.finished_at,
      again.failure_phase,
      again.failure_reason,
      again.failure_retryable,
    ],
    ["EXTRACTING", at(0), null, null, null, null],
  );
});

Deno.test("a waiting delivery shows its problem, then its failure, then its success", async () => {
  await using temp = await tempStore();
  const tell = teller(newRunId(START));
  const shown = (row: RunRow) => [row.status, row.delivery_state, row.delivery_error, row.failure_reason];
  const phase = "DELIVERING";
  const retry = {
    type: "phase_retrying",
    phase,
    attempt: 1,
    reason: "connection refused",
    retry_after_ms: 5,
  };
  await rowAfter(temp.store, tell({ type: "phase_started", phase, attempt: 1 }));
  assert.deepEqual(shown(await rowAfter(temp.store, tell(retry))), [
    "DELIVERY_PENDING",
    "PENDING",
    "connection refused",
    null,
  ]);
  assert.deepEqual(
    shown(
      await rowAfter(
        temp.store,
        tell({ type: "run_failed", phase, reason: "key refused", retryable: false }),
      ),
    ),
    ["FAILED", "FAILED", "key refused", "key refused"],
  );
  await rowAfter(temp.store, tell({ type: "phase_started", phase, attempt: 1 }));
  assert.deepEqual(
    shown(
      await rowAfter(temp.store, tell({ type: "phase_completed", phase, detail: { state: "DELIVERED" } })),
    ),
    ["COMPLETED", "DELIVERED", null, null],
  );
});

Deno.test("a run without a delivery server completes as NOT_CONFIGURED", async () => {
  await using temp = await tempStore();
  const tell = teller(newRunId(START));
  const row = await rowAfter(
    temp.store,
    tell({ type: "phase_completed", phase: "DELIVERING", detail: { state: "NOT_CONFIGURED" } }),
  );
  assert.deepEqual([row.status, row.delivery_state, row.delivered_at], ["COMPLETED", "NOT_CONFIGURED", null]);
});

Deno.test("a superseded run names the other, a cancelled one who cancelled it, a correction the run that it corrects", async () => {
  await using temp = await tempStore();
  const [other, corrected] = [newRunId(START + 1), newRunId(START + 2)];
  const superseded = await rowAfter(
    temp.store,
    teller(newRunId(START))({ type: "run_superseded", by: other, reason: "resumed an unfinished run" }),
  );
  assert.deepEqual(
    [superseded.status, superseded.superseded_by, superseded.failure_reason, superseded.failure_retryable],
    ["FAILED", other, "resumed an unfinished run", 0],
  );
  const cancelled = await rowAfter(
    temp.store,
    teller(newRunId(START))({ type: "run_cancelled", requested_by: "Ada" }),
  );
  assert.deepEqual([cancelled.status, cancelled.failure_reason], ["FAILED", "Cancelled by Ada."]);
  const correction = await rowAfter(
    temp.store,
    teller(newRunId(START))({ type: "run_requested", requested_by: "api", correction_of: corrected }),
  );
  assert.equal(correction.correction_of, corrected);
});

Deno.test("repeated or late events don't undo later ones", async () => {
  await using temp = await tempStore();
  const tell = teller(newRunId(START));
  const early = tell({ type: "phase_started", phase: "TRANSFORMING", attempt: 1 });
  const last = tell({ type: "phase_completed", phase: "DELIVERING", detail: { state: "DELIVERED" } });
  const row = await rowAfter(temp.store, last, early, last, early);
  assert.deepEqual([row.status, row.status_at, row.started_at], ["COMPLETED", at(1000), at(0)]);
  assert.equal((await temp.store.runs.eventsOf([row.run_id])).get(row.run_id)!.length, 2);
});

Deno.test("values known from the load stay when events arrive, but the event counts for values that both have", async () => {
  await using temp = await tempStore();
  const runId = newRunId(START);
  await temp.store.announceRun({ runId, pipeline: "users", at: at(0), source: "from the load" });
  await temp.store.write((db) => db.run("UPDATE etl_runs SET valid_count = 7, loaded_at = ?", at(1)));
  const tell = teller(runId);
  const shown = (row: RunRow) => [row.id, row.valid_count, row.loaded_at, row.source];
  const first = await rowAfter(temp.store, tell({ type: "phase_started", phase: "LOADING", attempt: 1 }));
  assert.deepEqual(shown(first), [1, 7, at(1), "from the load"]);
  const reported = await rowAfter(
    temp.store,
    tell({ type: "phase_completed", phase: "EXTRACTING", detail: { source: "from the event" } }),
  );
  assert.deepEqual(shown(reported), [1, 7, at(1), "from the event"]);
});

const anyEvent = fc.record({ ms: fc.integer({ min: 0, max: 5 }), phase: fc.constantFrom(...PHASES) }).chain(
  ({ ms, phase }) => {
    const timed = { published_at: at(ms), actor: "saver" };
    return fc.constantFrom(
      { ...timed, type: "run_requested", requested_by: `user ${ms}` },
      { ...timed, type: "phase_started", phase, attempt: 1 },
      { ...timed, type: "phase_retrying", phase, attempt: 1, reason: `retry ${ms}`, retry_after_ms: 1 },
      { ...timed, type: "phase_completed", phase, detail: { state: "DELIVERED", source: `source ${ms}` } },
      { ...timed, type: "phase_completed", phase, detail: { state: "NOT_CONFIGURED" } },
      { ...timed, type: "run_failed", phase, reason: `failure ${ms}`, retryable: ms % 2 === 0 },
      { ...timed, type: "run_superseded", by: newRunId(START), reason: "resumed" },
      { ...timed, type: "run_cancelled", requested_by: `user ${ms}` },
    );
  },
);

Deno.test("the order in which events arrive, repeats, and batches make no difference", async () => {
  await using temp = await tempStore();
  const histories = fc.array(anyEvent, { minLength: 1, maxLength: 8 }).chain((events) =>
    fc.tuple(
      fc.constant(events),
      fc.shuffledSubarray([...events.keys(), ...events.keys()], { minLength: events.length * 2 }),
    )
  );
  await fc.assert(
    fc.asyncProperty(histories, async ([events, arrival]) => {
      const reported = (runId: string, n: number) =>
        RunEvent.parse({ ...events[n], run_id: runId, id: `${runId}/${n}` });
      const [inOrder, shuffled] = [newRunId(START), newRunId(START)];
      await temp.store.record([...events.keys()].map((n) => reported(inOrder, n)));
      for (const n of arrival) await temp.store.record([reported(shuffled, n)]);
      const rows = await Promise.all([inOrder, shuffled].map(async (runId) => {
        const { id: _id, run_id: _runId, ...rest } = (await temp.store.runs.byRunId(runId))!;
        return rest;
      }));
      assert.deepEqual(rows[1], rows[0]);
      assert.equal(
        rows[0]!.status_at,
        at(Math.max(...events.map((e) => Date.parse(e.published_at) - START))),
      );
    }),
    { numRuns: 60 },
  );
});

Deno.test("one more event of a delivery that was tried ten thousand times costs as little as one of the first", async () => {
  await using temp = await tempStore();
  const runId = newRunId(START);
  const tell = teller(runId);
  const retrying = (attempt: number) =>
    tell({ type: "phase_retrying", phase: "DELIVERING", attempt, reason: "refused", retry_after_ms: 60_000 });
  let attempt = 0;
  const oneMore = () => temp.store.record([retrying(++attempt)]);
  await temp.store.record([tell({ type: "phase_started", phase: "DELIVERING", attempt: 1 })]);
  await leastMs(oneMore, 50);
  const early = await leastMs(oneMore, 50);
  await temp.store.record(Array.from({ length: 10_000 }, () => retrying(++attempt)));
  const late = await leastMs(oneMore, 50);
  assert.ok(late < 5 * early + 2, `an event took ${early} ms at first, ${late} ms later`);
  const row = (await temp.store.runs.byRunId(runId))!;
  assert.deepEqual([row.status, row.delivery_state, row.delivery_error], [
    "DELIVERY_PENDING",
    "PENDING",
    "refused",
  ]);
});
