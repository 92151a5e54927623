import assert from "node:assert/strict";
import { endless, eventsOf, give, nothing, stage } from "../../tests/support/actor_stage.ts";
import { needing } from "../../tests/support/needs.ts";
import { startRedis } from "../../tests/support/redis.ts";
import { plainClient } from "../../tests/support/redis_client.ts";
import type { Channel, Outgoing } from "../channel/channel.ts";
import { openTemporaryChannel } from "../../tests/support/temporary_channel.ts";
import { openChannel } from "../channel/open.ts";
import { PermanentError, TransientError } from "../errors/errors.ts";
import { pause } from "./backoff.ts";
import { ReportedRetries } from "./retries.ts";
import { runActor } from "./run_actor.ts";

Deno.test("a transient failure is retried until it passes, and a repeated failure is not reported again", async () => {
  let tries = 0;
  await using s = await stage(() => {
    if (++tries < 3) throw new TransientError("the disk is full", { retryAfterMs: 1 });
    return Promise.resolve({ outputs: [], detail: {} });
  });
  await give(s.channel);
  await s.settledTimes(3);
  assert.deepEqual(s.settled, ["again", "again", "done"]);
  const types = (await eventsOf(s.channel)).map((event) => event.type);
  assert.deepEqual(types, ["phase_started", "phase_retrying", "phase_started", "phase_completed"]);
});

Deno.test("each new reason of a failed try is reported, and so is a repeated try that makes progress", async () => {
  const reasons = ["the server is away", "the server is away", "the key is refused", "the server is away"];
  await using s = await stage((_, { attempt, progress }) => {
    const reason = reasons[attempt - 1];
    if (reason !== undefined) throw new TransientError(reason, { retryAfterMs: 1 });
    progress({ done: 1, unit: "bytes" });
    throw new PermanentError("the disk of the server is full");
  });
  await give(s.channel);
  await s.settledTimes(5);
  const events = await eventsOf(s.channel);
  assert.deepEqual(events.map((event) => "reason" in event ? event.reason : event.type), [
    "phase_started",
    "the server is away",
    "the key is refused",
    "phase_started",
    "the disk of the server is full",
  ]);
  assert.deepEqual(events.map((event) => "attempt" in event ? event.attempt : undefined), [
    1,
    1,
    3,
    5,
    undefined,
  ]);
});

Deno.test("a report about a text that isn't JSON contains nothing of the text", async () => {
  await using s = await stage(() => Promise.resolve(JSON.parse('{"email":"ana@example.com"')), {
    maxAttempts: 1,
  });
  await give(s.channel);
  await s.settledTimes(1);
  const [, failed] = await eventsOf(s.channel);
  assert.ok(failed?.type === "run_failed");
  assert.match(failed.reason, /^Cannot parse a text that should be JSON\./);
  assert.doesNotMatch(
    JSON.stringify(await s.channel.mailbox("channel:phase1_complete").dead({ limit: 1 })),
    /"reason":"[^"]*ana/,
  );
});

Deno.test("a week of the same failure is reported once an hour", () => {
  const retries = new ReportedRetries();
  let reports = 0;
  for (let minute = 0; minute < 7 * 24 * 60; minute++) {
    if (retries.isDue("deliver/1", "Cannot connect", minute * 60_000)) reports += 1;
  }
  assert.equal(reports, 7 * 24);
});

Deno.test("a failure while the message is planned is reported about its run, which fails with it", async () => {
  await using s = await stage(nothing, {
    plan: () => Promise.reject(new PermanentError("the state folder can't be used")),
  });
  const runId = await give(s.channel);
  await s.settledTimes(1);
  const [failed, ...others] = await eventsOf(s.channel);
  assert.deepEqual(others, []);
  assert.ok(failed?.type === "run_failed");
  assert.deepEqual([failed.run_id, failed.reason], [runId, "the state folder can't be used"]);
});

Deno.test("work that reports no progress is stopped and retried; work with progress may take its time", async () => {
  await using s = await stage(async (_, handling) => {
    if (handling.attempt === 1) return await endless(handling);
    for (let i = 0; i < 10; i++) {
      handling.progress({ done: i, unit: "records" });
      await pause(20);
    }
    return { outputs: [], detail: {} };
  }, { stallMs: 100 });
  await give(s.channel);
  await s.settledTimes(2);
  assert.deepEqual(s.settled, ["again", "done"]);
  const retried = (await eventsOf(s.channel)).find((event) => event.type === "phase_retrying");
  assert.match(retried!.reason, /^Stopped the work: it reported no progress for 0\.1 s\./);
});

Deno.test("work that hangs and ignores its signal is returned to the mailbox, and the actor ends", async () => {
  const channel = await openTemporaryChannel();
  await give(channel);
  const settled: string[] = [];
  await assert.rejects(
    runActor(
      {
        name: "transformer",
        mailbox: "channel:phase1_complete",
        stallMs: 20,
        handle: () => new Promise<never>(() => {}),
      },
      channel,
      {
        signal: new AbortController().signal,
        endMs: 20,
        onSettled: (kind) => settled.push(kind),
      },
    ),
    /Cannot run the transformer any longer: its work on message "m\/.*" hangs/,
  );
  assert.deepEqual(settled, ["again"]);
  assert.equal((await channel.mailbox("channel:phase1_complete").state()).depth, 1);
  await channel[Symbol.asyncDispose]();
});

const FOREIGN = JSON.stringify({
  raw_file: "data/raw_users/records_20200101_000000.jsonl",
  published_at: "9999-12-31T23:59:59.999Z",
});

/** Asserts that the handler gets a possible time in place of a foreign one, and that the message is settled. */
async function settlesForeign(
  channel: Channel,
  publish: () => Promise<unknown>,
): Promise<void> {
  let seen = "";
  await using s = await stage(
    (message) => {
      seen = message.published_at ?? "";
      throw new PermanentError("the file is gone");
    },
    {},
    () => channel,
  );
  await publish();
  await s.settledTimes(1);
  assert.deepEqual(s.settled, ["never"]);
  assert.ok(Date.parse(seen) <= Date.now());
  const events = await eventsOf(channel);
  assert.deepEqual(events.map((event) => event.type), ["phase_started", "run_failed"]);
  for (const { published_at } of events) assert.ok(Date.parse(published_at) < Date.now() + 1_000);
  assert.equal((await channel.mailbox("channel:phase1_complete").state()).dead, 1);
}

Deno.test("a foreign time at the end of the calendar prevents no message from being settled (embedded)", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const channel = await openChannel({ queuePath: `${folder}/queue.db` });
    await settlesForeign(
      channel,
      () => channel.publish({ to: "channel:phase1_complete", id: "foreign", body: FOREIGN }),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

needing("redis-server")(
  "a foreign time at the end of the calendar, and an entry whose id counts nanoseconds, prevent no message from being settled (redis)",
  async () => {
    await using server = await startRedis();
    using foreign = await plainClient(server);
    const entry = `${Date.now()}000000-0`;
    await settlesForeign(
      await openChannel({ redisUrl: server.url, queuePath: "" }),
      () => foreign.xAdd("channel:phase1_complete", entry, { id: "foreign", body: FOREIGN }),
    );
  },
);

Deno.test("a failure is settled even if the channel refuses its event", async () => {
  await using s = await stage(() => Promise.reject(new PermanentError("the file is gone")));
  const { claim } = s.channel;
  s.channel.claim = async function (...call) {
    const claimed = await claim.apply(this, call);
    if (claimed === undefined) return undefined;
    const { bury } = claimed;
    return Object.assign(claimed, {
      bury: (reason: string, ...outputs: Outgoing[]) =>
        outputs.length > 0 ? Promise.reject(new PermanentError("WRONGTYPE")) : bury.call(claimed, reason),
    });
  };
  await give(s.channel);
  await s.settledTimes(1);
  assert.deepEqual(s.settled, ["never"]);
});
