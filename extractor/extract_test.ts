import assert from "node:assert/strict";
import type { Handling } from "../shared/actor/actor.ts";
import { runActor } from "../shared/actor/run_actor.ts";
import { tell } from "../shared/actor/ask.ts";
import { NO_CANCELLATIONS } from "../shared/actor/cancel.ts";
import type { Channel } from "../shared/channel/channel.ts";
import { openTemporaryChannel } from "../tests/support/temporary_channel.ts";
import { PermanentError, TransientError } from "../shared/errors/errors.ts";
import { LocalState } from "./state.ts";
import { LocalFiles } from "../shared/files/local.ts";
import * as faults from "../tests/support/faulty_source.ts";
import { expected, RAW_FILE, request, START, startPipeline } from "../tests/support/extraction.ts";

/** Stores the state file as it was before the raw file was renamed. */
function snapshots(state: string): { handling: Partial<Handling>; restore(): void } {
  return {
    handling: { progress: () => Deno.copyFileSync(state, `${state}.before`) },
    restore: () => Deno.renameSync(`${state}.before`, state),
  };
}

Deno.test("a run that fails at its second page is resumed there by the next request, in the same file and under its own id", async () => {
  let isFixed = false;
  await using pipeline = await startPipeline({
    wrap: faults.withFaults(({ skip }) => skip === 100 && !isFixed ? faults.status(500) : undefined),
  });
  const first = request();
  await assert.rejects(pipeline.handle(first), (error: unknown) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, /^Cannot fetch page skip=100 of http:.*: HTTP 500 \(2 times\)/);
    return true;
  });
  assert.deepEqual(await pipeline.rawFiles(), [`${RAW_FILE}.part`]);
  assert.equal(JSON.parse(await Deno.readTextFile(pipeline.state)).current.last_skip, 100);
  isFixed = true;
  pipeline.requested.length = 0;
  const second = request();
  const { about, events, message, detail } = await pipeline.handle(second, { now: () => START + 3_600_000 });
  assert.equal(about, first.run_id);
  assert.deepEqual([message.run_id, message.record_count], [first.run_id, 208]);
  assert.deepEqual([detail.resumed_from_skip, detail.pages], [100, 3]);
  const [superseded] = events as Record<string, string>[];
  assert.deepEqual([superseded!.type, superseded!.run_id, superseded!.by], [
    "run_superseded",
    second.run_id,
    first.run_id,
  ]);
  assert.deepEqual(pipeline.requested, [100, 200]);
  assert.equal(await pipeline.raw(), await expected());
  assert.deepEqual(await pipeline.rawFiles(), [RAW_FILE]);
});

Deno.test("a run that an earlier version left unfinished is resumed, though its state has neither paging nor position", async () => {
  let isFixed = false;
  await using pipeline = await startPipeline({
    wrap: faults.withFaults(({ skip }) => skip === 200 && !isFixed ? faults.status(500) : undefined),
  });
  const requested = request();
  await assert.rejects(pipeline.handle(requested), PermanentError);
  const state = JSON.parse(await Deno.readTextFile(pipeline.state));
  for (const key of ["paging", "position", "ended", "seen_at"]) delete state.current[key];
  await Deno.writeTextFile(pipeline.state, JSON.stringify(state));
  isFixed = true;
  pipeline.requested.length = 0;
  const { detail } = await pipeline.handle(requested);
  assert.deepEqual([detail.resumed_from_skip, detail.pages, pipeline.requested], [200, 3, [200]]);
  assert.equal(await pipeline.raw(), await expected());
});

Deno.test("a request repeated after its run was finished gets the same outputs, without a request to the source", async () => {
  await using pipeline = await startPipeline();
  const requested = request();
  const { outputs, detail } = await pipeline.handle(requested);
  pipeline.requested.length = 0;
  const again = await pipeline.handle(requested);
  assert.deepEqual([again.outputs, again.detail, again.about], [outputs, detail, requested.run_id]);
  const other = await pipeline.handle(request({ run_id: requested.run_id }));
  assert.deepEqual([other.outputs, other.about], [[], requested.run_id]);
  assert.match(String(other.detail.note), /extracted before/);
  assert.deepEqual(pipeline.requested, []);
  assert.deepEqual(await pipeline.rawFiles(), [RAW_FILE]);
});

Deno.test("a repeated request that resumed another run gets that run's outputs again", async () => {
  let isFixed = false;
  await using pipeline = await startPipeline({
    wrap: faults.withFaults(({ skip }) => skip === 100 && !isFixed ? faults.status(500) : undefined),
  });
  const [first, second] = [request(), request()];
  await assert.rejects(pipeline.handle(first), PermanentError);
  isFixed = true;
  const { outputs } = await pipeline.handle(second);
  const again = await pipeline.handle(second);
  assert.deepEqual([again.about, again.outputs, again.events], [first.run_id, outputs, []]);
  assert.deepEqual((await pipeline.handle(first)).outputs, []);
  assert.deepEqual(await pipeline.rawFiles(), [RAW_FILE]);
});

Deno.test("a process that dies between naming the file and saving the state leaves a whole file, which is announced unchanged", async () => {
  await using pipeline = await startPipeline();
  const requested = request();
  const { handling, restore } = snapshots(pipeline.state);
  const { outputs } = await pipeline.handle(requested, {}, handling);
  restore();
  pipeline.requested.length = 0;
  const again = await pipeline.handle(requested);
  assert.deepEqual(again.outputs, outputs);
  assert.deepEqual(pipeline.requested, []);
  assert.deepEqual(await pipeline.rawFiles(), [RAW_FILE]);
});

Deno.test("while another process extracts, a request waits, then is returned with that process's name", async () => {
  const held = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  await using pipeline = await startPipeline({
    wrap: (answer) => async (request) => {
      arrived.resolve();
      await held.promise;
      return await answer(request);
    },
  });
  const first = pipeline.handle(request());
  await arrived.promise;
  const second = request();
  await assert.rejects(pipeline.handle(second, { lockWaitMs: 0 }), (error: unknown) => {
    assert.ok(error instanceof TransientError);
    assert.match(
      error.message,
      new RegExp(`^Cannot start to extract: process ${Deno.pid} on .* extracts on the same data`),
    );
    return true;
  });
  const waiting = pipeline.handle(second);
  held.resolve();
  assert.equal((await first).message.record_count, 208);
  const { about, events, message } = await waiting;
  assert.deepEqual([about, message.run_id, events], [second.run_id, second.run_id, []]);
});

Deno.test("a request that waited for another process resumes that process's unfinished run", async () => {
  await using pipeline = await startPipeline();
  const [first, second] = [request(), request()];
  const stopped = new AbortController();
  let waiting: ReturnType<typeof pipeline.handle> | undefined;
  await assert.rejects(
    pipeline.handle(first, {}, {
      signal: stopped.signal,
      progress: () => {
        waiting = pipeline.handle(second);
        stopped.abort(new TransientError("The service stops."));
      },
    }),
    /The service stops/,
  );
  const { about, message } = await waiting!;
  assert.deepEqual([about, message.run_id], [first.run_id, first.run_id]);
  assert.equal(await pipeline.raw(), await expected());
});

Deno.test("a cancelled run leaves nothing, and the next request starts a new run", async () => {
  await using pipeline = await startPipeline();
  const cancelled = new AbortController();
  await assert.rejects(
    pipeline.handle(request(), {}, {
      signal: cancelled.signal,
      progress: () => cancelled.abort(new PermanentError("Cancelled by test.")),
    }),
    /Cancelled by test/,
  );
  assert.deepEqual(await pipeline.rawFiles(), []);
  const next = request();
  assert.equal((await pipeline.handle(next)).message.run_id, next.run_id);
});

Deno.test("an unfinished run that was cancelled between two tries is not resumed", async () => {
  await using pipeline = await startPipeline();
  const [first, second] = [request(), request()];
  const stopped = new AbortController();
  await assert.rejects(
    pipeline.handle(first, {}, {
      signal: stopped.signal,
      progress: () => stopped.abort(new TransientError("The service stops.")),
    }),
  );
  const { about, message } = await pipeline.handle(second, {
    now: () => START + 5_000,
    cancellations: {
      onCancelled(runId, then) {
        if (runId === first.run_id) then(new PermanentError("Cancelled by test."));
        return NO_CANCELLATIONS.onCancelled(runId, then);
      },
    },
  });
  assert.deepEqual([about, message.run_id], [second.run_id, second.run_id]);
  assert.deepEqual(await pipeline.rawFiles(), ["records_20261124_030012.jsonl"]);
});

Deno.test("an unreadable state file is set aside, and the run starts over beside the old part file", async () => {
  await using pipeline = await startPipeline();
  await Deno.mkdir(`${pipeline.data}/state`, { recursive: true });
  await Deno.mkdir(`${pipeline.data}/raw_users`, { recursive: true });
  await Deno.writeTextFile(pipeline.state, '{"version":1,"current":{"run_id":');
  await Deno.writeTextFile(`${pipeline.data}/raw_users/${RAW_FILE}.part`, "old\n");
  assert.equal((await pipeline.handle(request())).message.record_count, 208);
  assert.equal(
    await Deno.readTextFile(`${pipeline.state}.corrupt-20261124_030007`),
    '{"version":1,"current":{"run_id":',
  );
  assert.deepEqual(await pipeline.rawFiles(), [`${RAW_FILE}.part`, "records_20261124_030008.jsonl"]);
});

Deno.test("the unfinished run of another source is set aside; its part file and the list of finished runs are kept", async () => {
  await using pipeline = await startPipeline({
    wrap: faults.withFaults(({ skip, tries }) => skip === 100 && tries > 1 ? faults.status(500) : undefined),
  });
  const finished = request();
  const { outputs } = await pipeline.handle(finished);
  await assert.rejects(pipeline.handle(request(), { now: () => START + 1_000 }), PermanentError);
  await using other = await startPipeline({ users: 5 });
  const parts = {
    files: pipeline.files,
    state: new LocalState(`${pipeline.data}/state`),
    now: () => START + 2_000,
  };
  const { message } = await other.handle(request(), parts);
  assert.deepEqual([message.record_count, message.source], [5, other.source]);
  assert.deepEqual(await pipeline.rawFiles(), [
    RAW_FILE,
    "records_20261124_030008.jsonl.part",
    "records_20261124_030009.jsonl",
  ]);
  const aside = JSON.parse(await Deno.readTextFile(`${pipeline.state}.other-source-20261124_030009`));
  assert.deepEqual([aside.current.source, aside.current.last_skip], [pipeline.source, 100]);
  assert.deepEqual((await other.handle(finished, parts)).outputs, outputs);
});

Deno.test("in the actor's loop a failed run is reported, and the next request continues with the resumed run under its own id", async () => {
  await Deno.mkdir("test-output", { recursive: true });
  const data = await Deno.makeTempDir({ dir: "test-output" }); // messages accept only relative paths
  let isFixed = false;
  await using pipeline = await startPipeline({
    wrap: faults.withFaults(({ skip }) => skip === 100 && !isFixed ? faults.status(500) : undefined),
  });
  await using channel = await openTemporaryChannel();
  const stop = new AbortController();
  try {
    const settled: string[] = [];
    const bothSettled = Promise.withResolvers<void>();
    const running = runActor(
      pipeline.actor({ files: new LocalFiles(data), state: new LocalState(`${data}/state`) }),
      channel,
      {
        signal: stop.signal,
        onSettled(outcome) {
          isFixed = true;
          if (settled.push(outcome) === 2) bothSettled.resolve();
        },
      },
    );
    const ask = { requestedBy: "test", actor: "cli" } as const;
    const first = await tell(channel, ask, { queue: true });
    const second = await tell(channel, ask, { queue: true });
    await bothSettled.promise;
    stop.abort();
    await running;
    assert.deepEqual(settled, ["never", "done"]);
    const [handedOn, ...more] = await bodies(channel, "channel:phase1_complete");
    assert.deepEqual([handedOn!.run_id, handedOn!.record_count, more], [first, 208, []]);
    assert.equal(await Deno.readTextFile(String(handedOn!.raw_file)), await expected());
    const events = await bodies(channel, "channel:run_events");
    assert.deepEqual(events.map((event) => [event.type, event.run_id === first ? "first" : "second"]), [
      ["run_requested", "first"],
      ["run_requested", "second"],
      ["phase_started", "first"],
      ["run_failed", "first"],
      ["phase_started", "first"],
      ["run_superseded", "second"],
      ["phase_completed", "first"],
    ]);
    assert.equal(events[5]!.by, first);
    assert.equal(second, events[5]!.run_id);
  } finally {
    stop.abort();
    await Deno.remove(data, { recursive: true });
  }
});

/** Returns the messages of a mailbox, in order. */
async function bodies(channel: Channel, mailbox: string): Promise<Record<string, unknown>[]> {
  const all: Record<string, unknown>[] = [];
  while ((await channel.mailbox(mailbox).state()).depth > 0) {
    const claim = await channel.claim(mailbox, { leaseMs: 5_000, signal: new AbortController().signal });
    all.push(JSON.parse(claim!.body));
    await claim!.complete();
  }
  return all;
}
