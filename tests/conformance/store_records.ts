/**
 * Tests the events, corrections, decisions, deliveries and notifications in every store.
 *
 * @module
 */
import assert from "node:assert/strict";
import { newRunId } from "../../shared/contracts/ids.ts";
import { PHASES, RunEvent } from "../../shared/contracts/messages.ts";
import type { Store } from "../../shared/store/store.ts";
import { loadTexts } from "../support/store.ts";
import type { UsingStore } from "./store.ts";

const START = Date.UTC(2026, 10, 24, 3);
const at = (ms: number) => new Date(START + ms).toISOString();

export async function recordCases(usingStore: UsingStore): Promise<void> {
  await usingStore(
    "a run proceeds from its request to its delivery, in whatever order its events arrive",
    async ({ store, another }) => {
      await using other = await another();
      const historyOf = (runId: string) => {
        let n = 0;
        return [
          { type: "run_requested", requested_by: "api" },
          ...PHASES.flatMap((phase) => [
            { type: "phase_started", phase, attempt: 1 },
            { type: "phase_retrying", phase, attempt: 1, reason: "away \0", retry_after_ms: 1000 },
            {
              type: "phase_completed",
              phase,
              detail: phase === "DELIVERING" ? { state: "DELIVERED" } : { records: 1 },
            },
          ]),
        ].map((fields) =>
          RunEvent.parse({
            id: `${runId}/${n}`,
            published_at: at(1000 * n++),
            run_id: runId,
            actor: "test",
            ...fields,
          })
        );
      };
      const [inOrder, reversed, shared] = [newRunId(START), newRunId(START), newRunId(START)];
      for (const event of historyOf(inOrder)) await store.record([event]);
      await store.record(historyOf(reversed).reverse());
      // two recorders at once
      await Promise.all(historyOf(shared).map((event, n) => (n % 2 ? store : other).record([event])));
      await store.record(historyOf(shared));
      const rows = await Promise.all([inOrder, reversed, shared].map((runId) => store.runs.byRunId(runId)));
      const [wanted, ...others] = rows.map((row) => {
        const { id: _id, run_id: _runId, ...rest } = row!;
        return rest;
      });
      assert.deepEqual([wanted!.status, wanted!.delivery_state, wanted!.requested_by], [
        "COMPLETED",
        "DELIVERED",
        "api",
      ]);
      for (const other of others) assert.deepEqual(other, wanted);
      assert.equal((await store.runs.eventsOf([shared])).get(shared)!.length, historyOf(shared).length);
      assert.deepEqual(
        new Set(rows.map((row) => row!.id)),
        new Set([1, 2, 3]),
        "people see the numbers of runs",
      );
    },
  );

  await usingStore(
    "a loaded correction links its raw records to the invalid ones",
    async ({ store }) => {
      const [first, second] = [newRunId(START), newRunId(START + 1)];
      await loadTexts(store, first, "invalid", ['{"id":1}', '{"id":2}', '{"id":3}']);
      await loadTexts(store, second, "raw", ['{"id":3}', '{"id":1}']);
      const loaded = {
        runId: second,
        pipeline: "users",
        at: at(0),
        correctionOf: first,
        corrects: [3, 1],
        rawFile: "data/a",
        processedFile: "data/b",
        dlqFile: "data/c",
        validCount: 2,
        invalidCount: 0,
      };
      await store.announceRun({ runId: first, pipeline: "users", at: loaded.at });
      await store.announceRun(loaded);
      await store.announceRun(loaded);
      await store.markLoaded(loaded);
      await store.markLoaded(loaded);
      const idsOf = async (table: "invalid_users" | "raw_users", runId: string) =>
        (await store.records.page(table, { runId }, { limit: 10 })).map((row) => row.record_id);
      const invalid = await idsOf("invalid_users", first);
      const raw = await idsOf("raw_users", second);
      assert.deepEqual(
        await store.records.correctionsOf(invalid),
        new Map([[invalid[0], [raw[1]]], [invalid[1], []], [invalid[2], [raw[0]]]]),
      );
      const corrections = await store.runs.correctionsOf([first, second]);
      assert.deepEqual(corrections.get(first)!.map((run) => run.run_id), [second]);
      assert.deepEqual(corrections.get(second), []);
    },
  );

  await usingStore(
    "keys that no transform reported are found in the first records, and get their columns",
    async ({ store }) => {
      const runId = newRunId(START);
      await loadTexts(store, runId, "raw", [
        "broken",
        "[1]",
        '{"id":1,"nickname":"Bo","it\'s \\"strange\\"":2}',
      ]);
      await store.announceRun({ runId, pipeline: "users", at: at(0) });
      await store.markLoaded({
        runId,
        pipeline: "users",
        at: "",
        rawFile: "a",
        processedFile: "b",
        dlqFile: "c",
        validCount: 1,
        invalidCount: 2,
      });
      const { columns, rows } = await store.records.rows("raw_users", { limit: 10, offset: 2 });
      assert.equal(rows[0]![columns.indexOf("nickname")], "Bo");
      assert.equal(rows[0]![columns.indexOf('it\'s "strange"')], 2);
    },
  );

  await usingStore(
    "if two people decide on a held run, the first decision counts",
    async ({ store, another }) => {
      await using other = await another();
      const runId = newRunId(START);
      await store.announceRun({ runId, pipeline: "users", at: at(0) });
      const held = {
        run_id: runId,
        pipeline: "users",
        reason: "too few",
        message: "{}",
        samples: ['{"ssn":"1"}'],
        compared_with: null,
      };
      await assert.rejects(store.hold(held, () => Promise.reject(new Error("cancelled"))), /cancelled/);
      assert.equal(await store.holds.of(runId), undefined);
      await store.hold(held, () => Promise.resolve());
      await store.hold({ ...held, reason: "again" }, () => Promise.resolve());
      assert.equal((await store.holds.inFront("users"))!.reason, "too few");
      assert.deepEqual(await store.holds.samples(runId), [{ ssn: "***" }]);
      const orders = await Promise.all(
        ([["released", store], ["rejected", other]] as const).map(([decision, by]) =>
          by.decide({ run_id: runId, decision, requested_by: decision }, decision)
        ),
      );
      assert.deepEqual(orders[0], orders[1]);
      assert.equal(orders[0]!.order_id, orders[0]!.decision);
      assert.deepEqual(await store.holds.samples(runId), []);
      assert.equal(
        await store.decide({ run_id: "none", decision: "released", requested_by: "a" }, "x"),
        undefined,
      );
    },
  );

  await usingStore(
    "no event is recorded while a local file is removed, and a file that stays has a reason",
    async ({ store, another }) => {
      await using other = await another();
      const runId = newRunId(START);
      await loadTexts(store, runId, "raw", ["{}"]);
      const [file] = (await store.runs.filesOf([runId])).get(runId)!;
      assert.equal(
        await store.removeFile(file!.id, at(0), () => Promise.resolve("it is needed")),
        "it is needed",
      );
      const removing = Promise.withResolvers<void>();
      const requested = Promise.withResolvers<void>();
      const removed = store.removeFile(file!.id, at(1), async () => {
        requested.resolve();
        await removing.promise;
        return undefined;
      });
      await requested.promise;
      let isRecorded = false;
      const event = RunEvent.parse({
        id: "e",
        published_at: at(2),
        run_id: newRunId(START),
        actor: "api",
        type: "run_requested",
        requested_by: "ana",
      });
      const recording = other.record([event]).then(() => isRecorded = true);
      assert.equal((await store.runs.list({}, { limit: 1, offset: 0 })).length, 0);
      assert.equal(isRecorded, false);
      removing.resolve();
      assert.equal(await removed, undefined);
      await recording;
      await store.removeFile(file!.id, at(9), () => Promise.resolve(undefined));
      assert.equal((await store.runs.filesOf([runId])).get(runId)![0]!.removed_at, at(1));
    },
  );

  await usingStore(
    "notifications are recorded once for each receiver, the newest thousand; schedules are watched",
    async ({ store }) => {
      const order = (n: number) =>
        ({
          webhook_id: `msg_${n}`,
          notification: { type: "run.failed" as const, timestamp: at(n), text: `text ${n}`, data: {} },
          run_id: "run-1",
          pipeline: "users",
        }) as unknown as Parameters<Store["noteOrder"]>[0];
      const [a, b] = [{ host: "a.example", key: "aaaa" }, { host: "b.example", key: "bbbb" }];
      await store.noteOrder(order(1), [a, b]);
      await store.noteOrder(order(1), [a, b]);
      await store.noteTry({ webhookId: "msg_1", key: "aaaa" }, {
        state: "SENT",
        result: "HTTP 204",
        at: at(5),
      });
      const rows = await store.notifications.list({ limit: 10 });
      assert.deepEqual(
        rows.map(({ id, host, state, attempts, result }) => [id, host, state, attempts, result]),
        [
          [2, "b.example", "WAITING", 0, null],
          [1, "a.example", "SENT", 1, "HTTP 204"],
        ],
      );
      assert.equal(await store.notifications.has("msg_1"), true);
      assert.equal(await store.notifications.has("msg_2"), false);
      const watched = { schedule: "{}", judged_until: at(0), late_at: null };
      await store.keepWatched("users", watched);
      await store.keepWatched("users", { ...watched, late_at: at(7) });
      assert.deepEqual(await store.notifications.watched("users"), { ...watched, late_at: at(7) });
    },
  );

  await usingStore("a delivery is noted in place of the one before", async ({ store }) => {
    const delivery = {
      kind: "raw" as const,
      name: "data/raw.jsonl",
      remote_path: "/upload/raw.jsonl",
      sha256: "c".repeat(64),
      bytes: 2,
      verified: "size" as const,
      encrypted: false,
      delivered_at: at(0),
    };
    await store.recordDelivery("run-1", [delivery]);
    await store.recordDelivery("run-1", [{
      ...delivery,
      verified: "content",
      encrypted: true,
      sealed_sha256: "e".repeat(64),
    }]);
    const [noted, ...others] = (await store.runs.deliveriesOf(["run-1"])).get("run-1")!;
    assert.deepEqual(others, []);
    assert.deepEqual([noted!.verified, noted!.encrypted, noted!.sealed_sha256], [
      "content",
      1,
      "e".repeat(64),
    ]);
    assert.deepEqual(await store.runs.deliveriesOfContent("c".repeat(64)), [noted]);
  });

  await usingStore(
    "records and events of old runs are removed, except those that the current state or a person needs",
    async ({ store, reader }) => {
      const load = async (n: number, valid: readonly object[], invalid: readonly object[]) => {
        const run = { runId: newRunId(START + n), pipeline: "users", at: at(n) };
        await store.announceRun(run);
        await loadTexts(store, run.runId, "raw", [...valid, ...invalid].map((one) => JSON.stringify(one)));
        await loadTexts(store, run.runId, "processed", valid.map((one) => JSON.stringify(one)));
        await loadTexts(store, run.runId, "invalid", invalid.map((one) => JSON.stringify(one)));
        const counts = { validCount: valid.length, invalidCount: invalid.length };
        await store.markLoaded({ ...run, rawFile: "a", processedFile: "b", dlqFile: "c", ...counts });
        const common = { run_id: run.runId, actor: "courier", phase: "DELIVERING" };
        const done = { ...common, type: "phase_completed", detail: { state: "DELIVERED" } };
        await store.record([
          RunEvent.parse({ ...done, id: `${run.runId}/done`, published_at: at(n + 1_000) }),
        ]);
        return run.runId;
      };
      const [ada, bob, bad] = [{ id: 1, age: 20 }, { id: 2, age: 30 }, {
        id: 3,
        error_reason: "age: missing",
      }];
      const first = await load(0, [ada, bob], [bad, { id: 1, error_reason: "age: x" }]);
      const second = await load(1, [ada, { ...bob, age: 31 }], []);
      const third = await load(2, [ada, { ...bob, age: 32 }], [{ id: 9, error_reason: "age: y" }]);
      const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
      await using reading = await reader();
      const before = await store.current.page("users", {}, { limit: 9 });
      await assert.rejects(store.trim(tomorrow, { signal: AbortSignal.abort() }), { name: "AbortError" });
      assert.deepEqual(
        new Set((await reading.trimmable(tomorrow)).map(({ run_id }) => run_id)),
        new Set([first, second]),
        "a trim that is stopped before it begins changes nothing",
      );
      const trimmed = await store.trim(tomorrow);
      assert.deepEqual([trimmed.runs, trimmed.events], [2, 3]);
      assert.ok(trimmed.records > 0);
      assert.deepEqual(await store.current.page("users", {}, { limit: 9 }), before);
      assert.deepEqual(await reading.problemsOfCurrent("users"), []);
      // uncorrected invalid records stay; those that are valid in a later run are removed
      const invalid = await store.records.page("invalid_users", { runId: first }, { limit: 9 });
      assert.deepEqual(invalid.map(({ record }) => (record as typeof bad).id), [3]);
      assert.deepEqual(await store.records.page("raw_users", { runId: second }, { limit: 9 }), []);
      assert.equal((await store.records.page("raw_users", { runId: third }, { limit: 9 })).length, 3);
      assert.equal((await store.trim(tomorrow)).records, 0);
      // a late event continues from the result of the removed events
      const again = { id: "again", run_id: first, actor: "courier", published_at: at(9_000) };
      await store.record([
        RunEvent.parse({ ...again, type: "phase_started", phase: "DELIVERING", attempt: 1 }),
      ]);
      const row = (await store.runs.byRunId(first))!;
      assert.deepEqual([row.status, row.delivered_at], ["DELIVERING", at(1_000)]);
      const growth = await reading.growth();
      assert.ok(growth.bytes > 0);
    },
  );
}
