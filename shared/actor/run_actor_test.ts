import assert from "node:assert/strict";
import { endless, eventsOf, give, nothing, stage } from "../../tests/support/actor_stage.ts";
import { openTemporaryChannel } from "../../tests/support/temporary_channel.ts";
import { LeaseLost, PermanentError } from "../errors/errors.ts";
import { compose } from "./message.ts";
import { runActor } from "./run_actor.ts";

Deno.test("a handled message is acknowledged together with its outputs, whose ids derive from its own", async () => {
  await using s = await stage((message) =>
    Promise.resolve({
      outputs: [{
        to: "channel:phase2_complete",
        name: "phase2",
        fields: {
          raw_file: message.raw_file,
          processed_file: "data/p.jsonl",
          dlq_file: "data/d.jsonl",
          valid_count: 1,
          invalid_count: 0,
        },
      }],
      detail: { valid: 1 },
    })
  );
  const runId = await give(s.channel);
  await s.settledTimes(1);
  const output = await s.channel.claim("channel:phase2_complete", {
    leaseMs: 1_000,
    signal: AbortSignal.timeout(60_000),
  });
  assert.equal(output?.id, `m/${runId}/phase2`);
  assert.equal((await s.channel.mailbox("channel:phase1_complete").state()).depth, 0);
  const events = await eventsOf(s.channel);
  assert.deepEqual(events.map((event) => event.type), ["phase_started", "phase_completed"]);
  assert.ok(events[0]!.published_at < events[1]!.published_at, "what follows has a later time");
  await output?.complete();
});

Deno.test("a permanent failure becomes a dead letter at once, with the reason, and the run is reported as failed", async () => {
  await using s = await stage(() => Promise.reject(new PermanentError("the file is gone")));
  const runId = await give(s.channel);
  await s.settledTimes(1);
  const [letter] = await s.channel.mailbox("channel:phase1_complete").dead({ limit: 10 });
  assert.equal(letter?.reason, "the file is gone");
  const failed = (await eventsOf(s.channel)).at(-1);
  assert.ok(failed?.type === "run_failed");
  assert.deepEqual([failed.run_id, failed.phase, failed.reason, failed.retryable], [
    runId,
    "TRANSFORMING",
    "the file is gone",
    false,
  ]);
});

Deno.test("an unknown error counts as transient, and becomes a dead letter after the last try", async () => {
  await using s = await stage(() => Promise.reject(new TypeError("surprise")), { maxAttempts: 1 });
  await give(s.channel);
  await s.settledTimes(1);
  const [letter] = await s.channel.mailbox("channel:phase1_complete").dead({ limit: 1 });
  assert.match(letter!.reason, /^surprise \(failed once\)$/);
  const failed = (await eventsOf(s.channel)).at(-1);
  assert.equal(failed?.type === "run_failed" && failed.retryable, true);
});

Deno.test("a message that kills its consumer each time uses up its attempts and isn't handled again", async () => {
  const channel = await openTemporaryChannel();
  await give(channel);
  for (let death = 0; death < 2; death++) {
    await channel.claim("channel:phase1_complete", { leaseMs: 1, signal: AbortSignal.timeout(60_000) }); // a consumer that dies
  }
  let handled = 0;
  const stop = new AbortController();
  await runActor(
    {
      name: "transformer",
      mailbox: "channel:phase1_complete",
      maxAttempts: 2,
      handle: (m, h) => (handled++, nothing(m, h)),
    },
    channel,
    {
      signal: stop.signal,
      onSettled: () => stop.abort(),
    },
  );
  assert.equal(handled, 0);
  assert.match(
    (await channel.mailbox("channel:phase1_complete").dead({ limit: 1 }))[0]!.reason,
    /so the process may have crashed on it/,
  );
  await channel[Symbol.asyncDispose]();
});

for (
  const [what, body, reason] of [
    ["bytes that are no JSON", "\u0000\ufffd{", /are not JSON/],
    ["JSON of another shape", '{"raw_file":7}', /raw_file: Invalid input/],
    [
      "a path that leaves the data directory",
      '{"raw_file":"../etc/passwd"}',
      /stays inside the data directory/,
    ],
  ] as const
) {
  Deno.test(`${what} on a mailbox is a dead letter that keeps the bytes, and the next message is handled`, async () => {
    await using s = await stage(nothing);
    await s.channel.publish({ to: "channel:phase1_complete", id: "foreign", body });
    await give(s.channel);
    await s.settledTimes(2);
    assert.deepEqual(s.settled, ["never", "done"]);
    const [letter] = await s.channel.mailbox("channel:phase1_complete").dead({ limit: 1 });
    assert.equal(letter?.body, body);
    assert.match(letter?.reason ?? "", reason);
  });
}

Deno.test("a message without a run belongs to the run of its file, always the same", async () => {
  const seen: string[] = [];
  await using s = await stage((message) => {
    seen.push(message.run_id);
    return Promise.resolve({ outputs: [], detail: {} });
  });
  const body = JSON.stringify({ raw_file: "data/raw_users/records_20200101_000000.jsonl" });
  await s.channel.publish({ to: "channel:phase1_complete", id: "a", body }, {
    to: "channel:phase1_complete",
    id: "b",
    body,
  });
  await s.settledTimes(2);
  assert.equal(seen[0], seen[1]);
  assert.match(seen[0]!, /^[0-9a-f]{8}-[0-9a-f]{4}-8/);
});

Deno.test("a stop lets the current message finish", async () => {
  const begun = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const s = await stage(async () => {
    begun.resolve();
    await finish.promise;
    return { outputs: [], detail: {} };
  });
  await give(s.channel);
  await begun.promise;
  s.stop();
  finish.resolve();
  await s.running;
  assert.deepEqual(s.settled, ["done"]);
  await s[Symbol.asyncDispose]();
});

Deno.test("a stop returns a message that doesn't finish in time, and no attempt is used up", async () => {
  const begun = Promise.withResolvers<void>();
  const s = await stage((_, handling) => (begun.resolve(), endless(handling)));
  await give(s.channel);
  await begun.promise;
  s.stop();
  await s.running;
  assert.deepEqual(s.settled, ["handed back"]);
  const again = await s.channel.claim("channel:phase1_complete", {
    leaseMs: 1_000,
    signal: AbortSignal.timeout(60_000),
  });
  assert.equal(again?.attempt, 1);
  await again?.complete();
  await s[Symbol.asyncDispose]();
});

Deno.test("work whose lease was lost is stopped and settles nothing", async () => {
  await using s = await stage((_, handling) => endless(handling), { leaseMs: 60 }, async () => {
    const channel = await openTemporaryChannel();
    const claim = channel.claim.bind(channel);
    channel.claim = async (...call) => {
      const claimed = await claim(...call);
      const extend = () => Promise.reject(new LeaseLost(`message ${claimed?.id} is held by another`));
      return claimed && Object.assign(claimed, { extend });
    };
    return channel;
  });
  await give(s.channel);
  await s.settledTimes(1);
  assert.deepEqual(s.settled, ["lost"]);
  assert.equal((await s.channel.mailbox("channel:phase1_complete").state()).depth, 1);
});

Deno.test("a cancelled run ends at once, as a dead letter that names who cancelled it", async () => {
  const begun = Promise.withResolvers<void>();
  await using s = await stage((_, handling) => (begun.resolve(), endless(handling)));
  const runId = await give(s.channel);
  await begun.promise;
  await s.channel.publish(
    compose("channel:run_events", "c", {
      type: "run_cancelled",
      run_id: runId,
      actor: "api",
      requested_by: "ana",
    }),
  );
  await s.settledTimes(1);
  assert.deepEqual(s.settled, ["never"]);
  assert.equal(
    (await s.channel.mailbox("channel:phase1_complete").dead({ limit: 1 }))[0]?.reason,
    "Cancelled by ana.",
  );
});

Deno.test("the directory shows an actor's current work, and that it has stopped", async () => {
  const begun = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const s = await stage(async (_, { progress }) => {
    progress({ done: 40, total: 100, unit: "records" });
    begun.resolve();
    await finish.promise;
    return { outputs: [], detail: {} };
  });
  const runId = await give(s.channel);
  await begun.promise;
  const [working] = await s.channel.beats();
  assert.deepEqual([working?.state, working?.current?.runId], ["working", runId]);
  finish.resolve();
  await s.settledTimes(1);
  s.stop();
  await s.running;
  const [stopped] = await s.channel.beats();
  assert.deepEqual([stopped?.state, stopped?.handled, stopped?.failed, stopped?.current], [
    "stopped",
    1,
    0,
    undefined,
  ]);
  await s[Symbol.asyncDispose]();
});
