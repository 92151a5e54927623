import assert from "node:assert/strict";
import { getLogger } from "@logtape/logtape";
import { sampleSource, type SourceOptions, startSource } from "../scripts/source.ts";
import { type Done, type Handling, runActor } from "../shared/actor/actor.ts";
import { tell } from "../shared/actor/ask.ts";
import { NO_CANCELLATIONS } from "../shared/actor/cancel.ts";
import type { Channel } from "../shared/channel/channel.ts";
import { openMemoryChannel } from "../shared/channel/memory.ts";
import { newRunId } from "../shared/contracts/ids.ts";
import { CHANNELS } from "../shared/contracts/channels.ts";
import { type Phase1Complete, StartRun } from "../shared/contracts/messages.ts";
import { PermanentError, TransientError } from "../shared/errors/errors.ts";
import { Files } from "../shared/jsonl/files.ts";
import * as faults from "../tests/support/faulty_source.ts";
import { extractor, type ExtractorParts } from "./extract.ts";
import { sliceElements } from "./slices.ts";
import { redacted } from "./source.ts";

const START = Date.UTC(2026, 10, 24, 3, 0, 7);
const RAW_FILE = "records_20261124_030007.jsonl";

/** A data directory, a source in front of it, and extractors that work there. */
async function startHouse(options: SourceOptions & { batchSize?: number } = {}) {
  const data = await Deno.makeTempDir();
  const asked: number[] = [];
  const running = await startSource({
    ...options,
    wrap: (answer) => {
      const wrapped = (options.wrap ?? ((it) => it))(answer);
      return (request) => {
        asked.push(Number(new URL(request.url).searchParams.get("skip")));
        return wrapped(request);
      };
    },
  });
  const files = new Files(data);
  const url = new URL(running.url);
  const actor = (parts: Partial<ExtractorParts> = {}) =>
    extractor({
      source: {
        url,
        name: redacted(url),
        batchSize: options.batchSize ?? 100,
        timeoutMs: 10_000,
        maxBytes: 50_000_000,
        maxRetries: 1,
        retryDelaysMs: [1],
        sleep: () => Promise.resolve(),
      },
      files,
      now: () => START,
      ...parts,
    });
  return {
    data,
    files,
    asked,
    state: `${data}/state/extractor_state.json`,
    actor,
    source: redacted(url),
    /** Handles one request as the runtime would; answers what came of it, and the news that was told before. */
    async handle(request: StartRun, parts: Partial<ExtractorParts> = {}, handling: Partial<Handling> = {}) {
      const told: unknown[] = [];
      const one = actor(parts);
      const about = await one.runOf!(request);
      const done = await one.handle(request, {
        attempt: 1,
        signal: new AbortController().signal,
        log: getLogger("test"),
        progress: () => {},
        tell: ({ fields }) => Promise.resolve(void told.push(fields)),
        ...handling,
      });
      return { about, told, ...done, message: messageOf(done) };
    },
    raw: (name = RAW_FILE) => Deno.readTextFile(`${data}/raw_users/${name}`),
    async rawFiles() {
      const names: string[] = [];
      for await (const { name } of Deno.readDir(`${data}/raw_users`)) names.push(name);
      return names.sort();
    },
    async [Symbol.asyncDispose]() {
      await running.close();
      await Deno.remove(data, { recursive: true });
    },
  };
}

function messageOf(done: Done): Partial<Phase1Complete> {
  return (done.outputs[0]?.fields ?? {}) as Partial<Phase1Complete>;
}

let requests = 0;
function request(change: Partial<StartRun> = {}): StartRun {
  return StartRun.parse({ id: `request-${++requests}`, run_id: newRunId(), requested_by: "test", ...change });
}

/** What the raw file of an undisturbed run holds. */
async function expected(options: SourceOptions = {}): Promise<string> {
  const text = await (await sampleSource(options)(new Request("http://source/users?limit=0"))).text();
  return sliceElements(text, "users").map((line) => `${line}\n`).join("");
}

/** Remembers the state file as it was before the file got its name. */
function snapshots(state: string): { handling: Partial<Handling>; restore(): void } {
  return {
    handling: { progress: () => Deno.copyFileSync(state, `${state}.before`) },
    restore: () => Deno.renameSync(`${state}.before`, state),
  };
}

Deno.test("a run takes every page into one file and says what is in it", async () => {
  await using house = await startHouse({ bad: 0.1 });
  const asked = request();
  const { message, detail, outputs, about, told } = await house.handle(asked);
  const text = await house.raw();
  assert.equal(text, await expected({ bad: 0.1 }));
  assert.deepEqual(house.asked, [0, 100, 200]);
  assert.deepEqual([about, told], [asked.run_id, []]);
  const { bytes, sha256 } = await house.files.facts(`${house.data}/raw_users/${RAW_FILE}`);
  assert.deepEqual(message, {
    run_id: asked.run_id,
    raw_file: `${house.data}/raw_users/${RAW_FILE}`,
    record_count: 208,
    raw_sha256: sha256,
    source: house.source,
  });
  const { raw_file } = message;
  assert.deepEqual(detail, { raw_file, records: 208, duplicates: 0, pages: 3, total: 208, bytes, sha256 });
  assert.deepEqual([outputs.length, outputs[0]!.to], [1, "channel:phase1_complete"]);
  const schema = CHANNELS["channel:phase1_complete"].schema;
  assert.ok(schema.safeParse({ ...message, raw_file: "data/raw_users/x.jsonl" }).success);
  assert.deepEqual(await house.rawFiles(), [RAW_FILE]);
});

Deno.test("a run that fails at its second page is resumed there by the next request, in the same file and under its own id", async () => {
  let well = false;
  await using house = await startHouse({
    wrap: faults.withFaults(({ skip }) => skip === 100 && !well ? faults.status(500) : undefined),
  });
  const first = request();
  await assert.rejects(house.handle(first), (error: unknown) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, /^Cannot fetch page skip=100 of http:.*: HTTP 500 \(2 times\)/);
    return true;
  });
  assert.deepEqual(await house.rawFiles(), [`${RAW_FILE}.part`]);
  assert.equal(JSON.parse(await Deno.readTextFile(house.state)).current.last_skip, 100);
  well = true;
  house.asked.length = 0;
  const second = request();
  const { about, told, message, detail } = await house.handle(second, { now: () => START + 3_600_000 });
  assert.equal(about, first.run_id);
  assert.deepEqual([message.run_id, message.record_count], [first.run_id, 208]);
  assert.deepEqual([detail.resumed_from_skip, detail.pages], [100, 3]);
  const [superseded] = told as Record<string, string>[];
  assert.deepEqual([superseded!.type, superseded!.run_id, superseded!.by], [
    "run_superseded",
    second.run_id,
    first.run_id,
  ]);
  assert.deepEqual(house.asked, [100, 200]);
  assert.equal(await house.raw(), await expected());
  assert.deepEqual(await house.rawFiles(), [RAW_FILE]);
});

Deno.test("a request that is repeated after its run was finished gets the same outputs, and the source is left alone", async () => {
  await using house = await startHouse();
  const asked = request();
  const { outputs, detail } = await house.handle(asked);
  house.asked.length = 0;
  const again = await house.handle(asked);
  assert.deepEqual([again.outputs, again.detail, again.about], [outputs, detail, asked.run_id]);
  const other = await house.handle(request({ run_id: asked.run_id }));
  assert.deepEqual([other.outputs, other.about], [[], asked.run_id]);
  assert.match(String(other.detail.note), /extracted before/);
  assert.deepEqual(house.asked, []);
  assert.deepEqual(await house.rawFiles(), [RAW_FILE]);
});

Deno.test("a request that resumed another run gets that run's outputs again when it is repeated", async () => {
  let well = false;
  await using house = await startHouse({
    wrap: faults.withFaults(({ skip }) => skip === 100 && !well ? faults.status(500) : undefined),
  });
  const [first, second] = [request(), request()];
  await assert.rejects(house.handle(first), PermanentError);
  well = true;
  const { outputs } = await house.handle(second);
  const again = await house.handle(second);
  assert.deepEqual([again.about, again.outputs, again.told], [first.run_id, outputs, []]);
  assert.deepEqual((await house.handle(first)).outputs, []);
  assert.deepEqual(await house.rawFiles(), [RAW_FILE]);
});

Deno.test("a process that dies between the file's name and the state's change leaves a whole file, which is announced as it is", async () => {
  await using house = await startHouse();
  const asked = request();
  const { handling, restore } = snapshots(house.state);
  const { outputs } = await house.handle(asked, {}, handling);
  restore();
  house.asked.length = 0;
  const again = await house.handle(asked);
  assert.deepEqual(again.outputs, outputs);
  assert.deepEqual(house.asked, []);
  assert.deepEqual(await house.rawFiles(), [RAW_FILE]);
});

Deno.test("what stands in the file beyond the last kept page is cut off on resume", async () => {
  let well = false;
  await using house = await startHouse({
    wrap: faults.withFaults(({ skip }) => skip === 200 && !well ? faults.status(500) : undefined),
  });
  const asked = request();
  await assert.rejects(house.handle(asked), PermanentError);
  await Deno.writeTextFile(`${house.data}/raw_users/${RAW_FILE}.part`, '{"id":201,"half a rec', {
    append: true,
  });
  well = true;
  await house.handle(asked);
  assert.equal(await house.raw(), await expected());
});

Deno.test("a run whose .part file is gone begins anew in a file of the same name", async () => {
  let well = false;
  await using house = await startHouse({
    wrap: faults.withFaults(({ skip }) => skip === 100 && !well ? faults.status(500) : undefined),
  });
  const asked = request();
  await assert.rejects(house.handle(asked), PermanentError);
  await Deno.remove(`${house.data}/raw_users/${RAW_FILE}.part`);
  well = true;
  assert.equal((await house.handle(asked)).message.record_count, 208);
  assert.equal(await house.raw(), await expected());
});

Deno.test("a source that gives fewer users than asked for is read by what it gives", async () => {
  await using house = await startHouse({ wrap: faults.withFaults(() => faults.atMost(30)) });
  await house.handle(request());
  assert.deepEqual(house.asked, [0, 30, 60, 90, 120, 150, 180]);
  assert.equal(await house.raw(), await expected());
});

Deno.test("users that moved to a later page are taken once, also when the run was resumed in between", async () => {
  let well = false;
  await using house = await startHouse({
    wrap: faults.withFaults(({ skip }) => {
      if (skip === 200 && !well) return faults.status(500);
      return skip > 0 ? faults.pageOf(skip - 5) : undefined;
    }),
  });
  const asked = request();
  await assert.rejects(house.handle(asked), PermanentError);
  well = true;
  const { detail } = await house.handle(asked);
  assert.equal(await house.raw(), await expected());
  assert.deepEqual([detail.records, detail.duplicates], [208, 5]);
});

Deno.test("users that were added in front push known ones to a last page of their own, which is no mistake", async () => {
  await using house = await startHouse({
    users: 200,
    wrap: faults.withFaults(({ skip }) => {
      if (skip === 0) return undefined;
      return async (request, answer) => await faults.totalOf(203)(request, await shifted(answer, skip));
    }),
  });
  function shifted(answer: (request: Request) => Response | Promise<Response>, skip: number) {
    return Promise.resolve((request: Request) => faults.pageOf(skip - 3)(request, answer));
  }
  const { detail } = await house.handle(request());
  assert.deepEqual([detail.records, detail.duplicates, detail.total], [200, 3, 203]);
  assert.equal(await house.raw(), await expected({ users: 200 }));
});

Deno.test("a source that grows while it is read is read to its new end, one that shrinks to its earlier one", async () => {
  await using growing = await startHouse({
    users: 350,
    wrap: faults.withFaults(({ skip }) => skip < 200 ? faults.totalOf(208) : undefined),
  });
  assert.equal((await growing.handle(request())).message.record_count, 350);
  assert.equal(await growing.raw(), await expected({ users: 350 }));
  await using shrinking = await startHouse({
    users: 150,
    wrap: faults.withFaults(({ skip }) => skip < 100 ? faults.totalOf(208) : undefined),
  });
  assert.equal((await shrinking.handle(request())).message.record_count, 150);
  assert.equal(await shrinking.raw(), await expected({ users: 150 }));
  await using emptied = await startHouse({
    users: 100,
    wrap: faults.withFaults(({ skip }) => skip < 100 ? faults.totalOf(208) : undefined),
  });
  assert.equal((await emptied.handle(request())).message.record_count, 100);
});

Deno.test("a source without users gives an empty file", async () => {
  await using house = await startHouse({ users: 0 });
  assert.equal((await house.handle(request())).message.record_count, 0);
  assert.equal(await house.raw(), "");
});

Deno.test("a source that doesn't heed skip is found out at its second page", async () => {
  await using house = await startHouse({ users: 200, wrap: faults.withFaults(() => faults.pageOf(0)) });
  await assert.rejects(house.handle(request()), (error: unknown) => {
    assert.ok(error instanceof PermanentError);
    assert.match(
      error.message,
      /^Cannot go on at page skip=100 of .*: its 100 users were all on earlier pages/,
    );
    return true;
  });
});

Deno.test("a source that never ends is left", async () => {
  await using house = await startHouse({
    users: 1_000_000,
    batchSize: 1_000,
    wrap: faults.withFaults(({ skip }) => faults.totalOf(skip + 1_500)),
  });
  await assert.rejects(house.handle(request()), (error: unknown) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, /^Cannot reach the end of .*: it announced 1500 users, has given 14000/);
    return true;
  });
});

Deno.test("two runs in the same second get two files", async () => {
  await using house = await startHouse({ users: 3 });
  await house.handle(request());
  const { message } = await house.handle(request());
  assert.equal(message.raw_file, `${house.data}/raw_users/records_20261124_030008.jsonl`);
});

Deno.test("while another process extracts, a request waits, then is put back with that process's name", async () => {
  const held = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  await using house = await startHouse({
    wrap: (answer) => async (request) => {
      arrived.resolve();
      await held.promise;
      return await answer(request);
    },
  });
  const first = house.handle(request());
  await arrived.promise;
  const second = request();
  await assert.rejects(house.handle(second, { lockWaitMs: 0 }), (error: unknown) => {
    assert.ok(error instanceof TransientError);
    assert.match(
      error.message,
      new RegExp(`^Cannot start to extract: process ${Deno.pid} on .* extracts on the same data`),
    );
    return true;
  });
  const waiting = house.handle(second);
  held.resolve();
  assert.equal((await first).message.record_count, 208);
  const { about, told, message } = await waiting;
  assert.deepEqual([about, message.run_id, told], [second.run_id, second.run_id, []]);
});

Deno.test("a run that another process left unfinished meanwhile is resumed at the next try", async () => {
  await using house = await startHouse();
  const [first, second] = [request(), request()];
  const actor = house.actor();
  assert.equal(await actor.runOf!(second), second.run_id);
  const stopped = new AbortController();
  await assert.rejects(
    house.handle(first, {}, {
      signal: stopped.signal,
      progress: () => stopped.abort(new TransientError("The service stops.")),
    }),
    /The service stops/,
  );
  const handling: Handling = {
    attempt: 1,
    signal: new AbortController().signal,
    log: getLogger("test"),
    progress: () => {},
    tell: () => Promise.resolve(),
  };
  await assert.rejects(actor.handle(second, handling), TransientError);
  assert.equal((await house.handle(second)).message.run_id, first.run_id);
  assert.equal(await house.raw(), await expected());
});

Deno.test("a run that is cancelled leaves nothing, and the next request begins a run of its own", async () => {
  await using house = await startHouse();
  const cancelled = new AbortController();
  await assert.rejects(
    house.handle(request(), {}, {
      signal: cancelled.signal,
      progress: () => cancelled.abort(new PermanentError("Cancelled by test.")),
    }),
    /Cancelled by test/,
  );
  assert.deepEqual(await house.rawFiles(), []);
  const next = request();
  assert.equal((await house.handle(next)).message.run_id, next.run_id);
});

Deno.test("an unfinished run that was cancelled between two tries is not resumed", async () => {
  await using house = await startHouse();
  const [first, second] = [request(), request()];
  const stopped = new AbortController();
  await assert.rejects(
    house.handle(first, {}, {
      signal: stopped.signal,
      progress: () => stopped.abort(new TransientError("The service stops.")),
    }),
  );
  const { about, message } = await house.handle(second, {
    now: () => START + 5_000,
    cancellations: {
      onCancelled(runId, then) {
        if (runId === first.run_id) then(new PermanentError("Cancelled by test."));
        return NO_CANCELLATIONS.onCancelled(runId, then);
      },
    },
  });
  assert.deepEqual([about, message.run_id], [second.run_id, second.run_id]);
  assert.deepEqual(await house.rawFiles(), ["records_20261124_030012.jsonl"]);
});

Deno.test("a state file that can't be read is set aside, and the run begins anew beside the old part file", async () => {
  await using house = await startHouse();
  await Deno.mkdir(`${house.data}/state`, { recursive: true });
  await Deno.mkdir(`${house.data}/raw_users`, { recursive: true });
  await Deno.writeTextFile(house.state, '{"version":1,"current":{"run_id":');
  await Deno.writeTextFile(`${house.data}/raw_users/${RAW_FILE}.part`, "old\n");
  assert.equal((await house.handle(request())).message.record_count, 208);
  assert.equal(
    await Deno.readTextFile(`${house.state}.corrupt-20261124_030007`),
    '{"version":1,"current":{"run_id":',
  );
  assert.deepEqual(await house.rawFiles(), [`${RAW_FILE}.part`, "records_20261124_030008.jsonl"]);
});

Deno.test("the unfinished run of another source is set aside, with its part file and the memory of finished runs kept", async () => {
  await using house = await startHouse({
    wrap: faults.withFaults(({ skip, tries }) => skip === 100 && tries > 1 ? faults.status(500) : undefined),
  });
  const finished = request();
  const { outputs } = await house.handle(finished);
  await assert.rejects(house.handle(request(), { now: () => START + 1_000 }), PermanentError);
  await using other = await startHouse({ users: 5 });
  const parts = { files: house.files, now: () => START + 2_000 };
  const { message } = await other.handle(request(), parts);
  assert.deepEqual([message.record_count, message.source], [5, other.source]);
  assert.deepEqual(await house.rawFiles(), [
    RAW_FILE,
    "records_20261124_030008.jsonl.part",
    "records_20261124_030009.jsonl",
  ]);
  const aside = JSON.parse(await Deno.readTextFile(`${house.state}.other-source-20261124_030009`));
  assert.deepEqual([aside.current.source, aside.current.last_skip], [house.source, 100]);
  assert.deepEqual((await other.handle(finished, parts)).outputs, outputs);
});

Deno.test("in the actor's loop a run that failed is told so, and the next request hands on the resumed run under its own id", async () => {
  await Deno.mkdir("test-output", { recursive: true });
  const data = await Deno.makeTempDir({ dir: "test-output" }); // messages hold relative paths only
  let well = false;
  await using house = await startHouse({
    wrap: faults.withFaults(({ skip }) => skip === 100 && !well ? faults.status(500) : undefined),
  });
  await using channel = openMemoryChannel();
  const stop = new AbortController();
  try {
    const settled: string[] = [];
    const bothSettled = Promise.withResolvers<void>();
    const running = runActor(house.actor({ files: new Files(data) }), channel, {
      signal: stop.signal,
      onSettled(outcome) {
        well = true;
        if (settled.push(outcome) === 2) bothSettled.resolve();
      },
    });
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

/** What waits in a mailbox, in order. */
async function bodies(channel: Channel, mailbox: string): Promise<Record<string, unknown>[]> {
  const all: Record<string, unknown>[] = [];
  while ((await channel.mailbox(mailbox).state()).depth > 0) {
    const claim = await channel.claim(mailbox, { leaseMs: 5_000, signal: new AbortController().signal });
    all.push(JSON.parse(claim!.body));
    await claim!.complete();
  }
  return all;
}
