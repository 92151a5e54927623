import assert from "node:assert/strict";
import { newRunId } from "../../shared/contracts/ids.ts";
import { type FieldTypes, RunEvent } from "../../shared/contracts/messages.ts";
import { onEachEngine, SQLITE, storeOn } from "../../tests/support/engines.ts";
import { driftOf } from "./drift.ts";
import { orderOf } from "../../shared/contracts/notification_order.ts";
import { notificationsFor } from "./event_notifications.ts";
import type { Store } from "../../shared/store/store.ts";

const START = Date.UTC(2026, 10, 24, 3);

/**
 * Creates a run, requested `minute` minutes after the start. Each event follows a second after the last and
 * returns its notifications.
 */
function runOf(store: Store, minute: number, fields: Record<string, unknown> = {}) {
  const runId = newRunId(START + minute * 60_000);
  let count = 0;
  const eventOf = (event: Record<string, unknown>) =>
    RunEvent.parse({
      id: `${runId}/${count}`,
      published_at: new Date(START + minute * 60_000 + 1_000 * count++).toISOString(),
      run_id: runId,
      actor: "saver",
      pipeline: "users",
      ...event,
    });
  const tell = async (event: Record<string, unknown>) => {
    const whole = eventOf(event);
    await store.record([whole]);
    const news = await notificationsFor(whole, store);
    await store.record([whole]);
    assert.deepEqual(await notificationsFor(whole, store), news, "a repeated event tells the same");
    return news;
  };
  return {
    runId,
    tell,
    ask: () => tell({ type: "run_requested", requested_by: "api", ...fields }),
    fail: (reason = "HTTP 503") => tell({ type: "run_failed", phase: "EXTRACTING", reason, retryable: true }),
    transform: (types: FieldTypes[]) =>
      tell({ type: "phase_completed", phase: "TRANSFORMING", detail: { types } }),
    complete: () => tell({ type: "phase_completed", phase: "DELIVERING", detail: { state: "DELIVERED" } }),
  };
}

const typesOf = (news: readonly { type: string }[]) => news.map(({ type }) => type);

onEachEngine("a failed run is reported with its phase and reason; a cancelled one isn't", async (engine) => {
  await using temp = await storeOn(engine);
  const run = runOf(temp.store, 0);
  assert.deepEqual(await run.ask(), []);
  const [failed, ...others] = await run.fail();
  assert.deepEqual(others, []);
  const { notification: { type, timestamp, data, text }, webhook_id } = orderOf(failed!, undefined);
  assert.match(webhook_id, /^msg_[\w-]{32}$/);
  assert.deepEqual([type, timestamp], ["run.failed", "2026-11-24T03:00:01.000Z"]);
  assert.deepEqual(data, {
    pipeline: "users",
    run_id: run.runId,
    run: 1,
    phase: "EXTRACTING",
    reason: "HTTP 503",
    retryable: true,
    says: "Run 1 failed while extracting: HTTP 503",
    what_to_do: "Start it again: deno task etl start --pipeline users",
  });
  assert.equal(
    text,
    "[users] Run 1 failed while extracting: HTTP 503\nStart it again: deno task etl start --pipeline users",
  );

  const cancelled = runOf(temp.store, 1);
  await cancelled.tell({ type: "run_cancelled", requested_by: "ana" });
  const end = { type: "run_failed", phase: "LOADING", reason: "Cancelled by ana.", retryable: false };
  assert.deepEqual(await cancelled.tell({ ...end, cancelled: true }), []);
});

onEachEngine(
  "a held run is reported with its numbers, and its release lets its pipeline recover",
  async (engine) => {
    await using temp = await storeOn(engine);
    const run = runOf(temp.store, 0);
    const [held] = await run.tell({
      type: "run_held",
      phase: "LOADING",
      reason: "12 of 100 records are invalid, 5 % may be",
      detail: {},
    });
    assert.deepEqual([held!.type, held!.says], [
      "run.held",
      "Run 1 is held before its load: 12 of 100 records are invalid, 5 % may be",
    ]);
    await run.tell({ type: "run_released", requested_by: "ana" });
    assert.deepEqual(typesOf(await run.complete()), ["run.recovered"]);
  },
);

onEachEngine(
  "the first completed run after a failed one is reported; later ones and repeated deliveries aren't",
  async (engine) => {
    await using temp = await storeOn(engine);
    const complete = async (minute: number, fields = {}) => {
      const run = runOf(temp.store, minute, fields);
      await run.ask();
      return { run, types: typesOf(await run.complete()) };
    };
    assert.deepEqual((await complete(0)).types, []);
    const failed = runOf(temp.store, 1);
    await failed.fail();
    const correction = await complete(2, { correction_of: failed.runId });
    assert.deepEqual(correction.types, [], "a correction says nothing about the source");
    const first = await complete(3);
    assert.deepEqual(first.types, ["run.recovered"]);
    assert.deepEqual(typesOf(await first.run.complete()), [], "delivered once more");
    assert.deepEqual((await complete(4)).types, []);
    assert.deepEqual(typesOf(await failed.complete()), ["run.recovered"], "its dead letter was replayed");
  },
);

onEachEngine("a run that failed, was resumed and completes has recovered", async (engine) => {
  await using temp = await storeOn(engine);
  const run = runOf(temp.store, 0);
  await run.fail();
  await run.tell({ type: "phase_started", phase: "EXTRACTING", attempt: 1 });
  assert.deepEqual(typesOf(await run.complete()), ["run.recovered"]);
});

onEachEngine("the first completed run after a late one has recovered", async (engine) => {
  await using temp = await storeOn(engine);
  const before = runOf(temp.store, 0);
  await before.ask();
  await before.complete();
  const late_at = new Date(START + 30 * 60_000).toISOString();
  await temp.store.keepWatched("users", { schedule: "{}", judged_until: late_at, late_at });
  const late = runOf(temp.store, 60);
  await late.ask();
  assert.deepEqual(typesOf(await late.complete()), ["run.recovered"]);
  const next = runOf(temp.store, 61);
  await next.ask();
  assert.deepEqual(typesOf(await next.complete()), []);
});

const fields = (types: Record<string, string>): FieldTypes[] =>
  Object.entries(types).map(([field, types]) => ({ field, types: types.split("|") as FieldTypes["types"] }));

onEachEngine(
  "new fields, missing fields and fields of another type than in the run before are reported by name, without values",
  async (engine) => {
    await using temp = await storeOn(engine);
    assert.deepEqual(
      await runOf(temp.store, 0).transform(fields({ id: "number", age: "number", ssn: "string" })),
      [],
    );
    await runOf(temp.store, 1).fail();
    assert.deepEqual(typesOf(await runOf(temp.store, 2, { correction_of: newRunId() }).ask()), []);
    const run = runOf(temp.store, 3);
    const [drift, ...others] = await run.transform(fields({ id: "number", age: "string", plan: "object" }));
    assert.deepEqual(others, []);
    assert.equal(
      drift!.says,
      "The fields of run 4 differ from those of run 1: new: plan; gone: ssn; of another type: age (number, now string).",
    );
    assert.deepEqual(drift!.data, {
      run: 4,
      compared_with: (await temp.store.runs.byId(1))!.run_id,
      new: ["plan"],
      gone: ["ssn"],
      changed: [{ field: "age", before: ["number"], now: ["string"] }],
    });
    assert.deepEqual(
      await runOf(temp.store, 4).transform(fields({ id: "number", age: "string", plan: "object" })),
      [],
    );
    assert.deepEqual(
      await runOf(temp.store, 5).transform([]),
      [],
      "a run without records tells nothing of fields",
    );
  },
);

onEachEngine("a run that requested only changes reports no field as gone", async (engine) => {
  await using temp = await storeOn(engine);
  await runOf(temp.store, 0).transform(fields({ id: "number", nickname: "string" }));
  const run = runOf(temp.store, 1);
  const since = { from: "2026-11-23T00:00:00Z", rewinds: 0 };
  await run.tell({ type: "phase_completed", phase: "EXTRACTING", detail: { since } });
  assert.notEqual((await temp.store.runs.byRunId(run.runId))!.since, null);
  const [drift, ...others] = await run.transform(fields({ id: "string" }));
  assert.deepEqual(others, []);
  assert.deepEqual([drift!.data!.gone, (drift!.data!.changed as unknown[]).length], [[], 1]);
});

Deno.test(
  "hundreds of new fields with long names give a notification of bounded length",
  async () => {
    await using temp = await storeOn(SQLITE);
    await runOf(temp.store, 0).transform(fields({ id: "number" }));
    const many = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`${i}${"x".repeat(190)}`, "string"]),
    );
    const [drift] = await runOf(temp.store, 1).transform(fields(many));
    const { notification } = orderOf(drift!, "https://etl.example.com");
    assert.ok(notification.text.length < 8_000 && JSON.stringify(notification).length < 20_000);
    assert.match(notification.text, /and 480 more/);
  },
);

/** The type before, the type now, and whether that counts as a change. */
const CHANGES: [before: string, now: string, isChange: boolean][] = [
  ["number", "number", false],
  ["number|null", "number", false],
  ["number", "number|null", false],
  ["number|null", "null", false],
  ["number", "null", true],
  ["null", "string", false],
  ["string|number", "number", false],
  ["number", "string|number", true],
  ["number", "string", true],
  ["object", "array", true],
];
for (const [before, now, isChange] of CHANGES) {
  Deno.test(`from ${before} to ${now} a field has ${isChange ? "another type" : "no other type"}`, () => {
    const { changed } = driftOf(fields({ a: before }), fields({ a: now }));
    assert.equal(changed.length, isChange ? 1 : 0);
  });
}
