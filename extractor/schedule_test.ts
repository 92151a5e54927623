import assert from "node:assert/strict";
import type { Channel } from "../shared/channel/channel.ts";
import { openTemporaryChannel } from "../tests/support/temporary_channel.ts";
import { TransientError } from "../shared/errors/errors.ts";
import { LocalDocuments } from "../shared/files/documents.ts";
import { plannedUntilIn } from "./planned_until.ts";
import { nextTick } from "../shared/pipeline/schedule.ts";
import { type Clock, type Plan, type PlannedUntil, runSchedule } from "./schedule.ts";

const OFF: Plan = {
  pipeline: "users",
  SCHEDULE: "off",
  SLEEP_INTERVAL_SECONDS: undefined,
  TZ: "UTC",
  RUN_ON_START: "never",
  SCHEDULE_CATCH_UP_HOURS: 24,
};
const DAILY: Plan = { ...OFF, SCHEDULE: "0 3 * * *" };
const START_RUN = "channel:start_run";

/** A clock that advances only while the schedule sleeps, and ends at `until`. */
function fakeClock(start: string, until: string, stop: AbortController): Clock & { sleeps: number } {
  let now = Date.parse(start);
  return {
    sleeps: 0,
    now: () => now,
    sleep(ms) {
      this.sleeps += 1;
      now += ms;
      if (now > Date.parse(until)) stop.abort();
      return Promise.resolve();
    },
  };
}

/** Stores `at` in memory for the test. */
function remembering(at?: string): PlannedUntil & { at: number | undefined } {
  return {
    at: at === undefined ? undefined : Date.parse(at),
    read() {
      return Promise.resolve(this.at);
    },
    write(at) {
      this.at = at;
      return Promise.resolve();
    },
  };
}

async function schedule(
  plan: Plan,
  { channel, from, until, completed = true, plannedUntil = remembering() }: {
    channel: Channel;
    from: string;
    until: string;
    completed?: boolean;
    plannedUntil?: PlannedUntil;
  },
) {
  const stop = new AbortController();
  const clock = fakeClock(from, until, stop);
  await runSchedule(plan, {
    channel,
    hasCompleted: () => Promise.resolve(completed),
    plannedUntil,
    signal: stop.signal,
    clock,
  });
}

/** Claims and completes all messages of a mailbox; returns their ids. */
async function drain(channel: Channel, mailbox = START_RUN): Promise<string[]> {
  const ids: string[] = [];
  while ((await channel.mailbox(mailbox).state()).depth > 0) {
    const claim = await channel.claim(mailbox, { leaseMs: 1_000, signal: new AbortController().signal });
    ids.push(claim!.id);
    await claim!.complete();
  }
  return ids;
}

Deno.test("the cron pattern is read in its time zone, also across a change to summer time", () => {
  const madrid = { ...DAILY, TZ: "Europe/Madrid" };
  const next = (plan: Plan, after: string) => new Date(nextTick(plan, Date.parse(after))!).toISOString();
  assert.equal(next(DAILY, "2026-11-24T02:59:59.999Z"), "2026-11-24T03:00:00.000Z");
  assert.equal(next(DAILY, "2026-11-24T03:00:00.000Z"), "2026-11-25T03:00:00.000Z");
  assert.equal(next(madrid, "2026-03-28T12:00:00.000Z"), "2026-03-29T01:00:00.000Z");
  assert.equal(next(madrid, "2026-03-27T12:00:00.000Z"), "2026-03-28T02:00:00.000Z");
});

Deno.test("an interval counts from 1970 and replaces the pattern; off plans nothing", () => {
  const plan = { ...DAILY, SLEEP_INTERVAL_SECONDS: 900 };
  assert.equal(nextTick(plan, Date.parse("2026-11-24T03:00:00Z")), Date.parse("2026-11-24T03:15:00Z"));
  assert.equal(nextTick(plan, Date.parse("2026-11-24T03:14:59Z")), Date.parse("2026-11-24T03:15:00Z"));
  assert.equal(nextTick(OFF, Date.now()), undefined);
});

Deno.test("at the planned time a run is requested once, even if two services have the same plan", async () => {
  await using channel = await openTemporaryChannel();
  const day = { channel, from: "2026-11-24T00:00:00Z", until: "2026-11-24T12:00:00Z" };
  await schedule(DAILY, day);
  assert.deepEqual(await drain(channel), ["schedule/2026-11-24T03:00:00.000Z/start"]);
  await schedule(DAILY, day);
  assert.deepEqual(await drain(channel), []);
  assert.deepEqual(await drain(channel, "channel:run_events"), [
    "schedule/2026-11-24T03:00:00.000Z/requested",
  ]);
});

Deno.test("a planned run is skipped while another one is active", async () => {
  await using channel = await openTemporaryChannel();
  await schedule(DAILY, { channel, from: "2026-11-24T00:00:00Z", until: "2026-11-26T12:00:00Z" });
  assert.deepEqual(await drain(channel), ["schedule/2026-11-24T03:00:00.000Z/start"]);
  await schedule(DAILY, { channel, from: "2026-11-26T12:00:00Z", until: "2026-11-27T12:00:00Z" });
  assert.deepEqual(await drain(channel), ["schedule/2026-11-27T03:00:00.000Z/start"]);
});

Deno.test("at the start a run is requested if none has completed, always, or never", async () => {
  const day = { from: "2026-11-24T00:00:30Z", until: "2026-11-24T00:10:00Z" };
  const cases = [["if-none", true, 0], ["if-none", false, 1], ["always", true, 1], [
    "never",
    false,
    0,
  ]] as const;
  for (const [RUN_ON_START, completed, expected] of cases) {
    await using channel = await openTemporaryChannel();
    await schedule({ ...OFF, RUN_ON_START }, { channel, completed, ...day });
    const requested = await drain(channel);
    assert.equal(requested.length, expected, `${RUN_ON_START}, completed ${completed}`);
    if (expected === 1) assert.equal(requested[0], "schedule/start/2026-11-24T00:00:00.000Z/start");
  }
});

Deno.test("a planned run is requested again while the channel is unreachable", async () => {
  await using channel = await openTemporaryChannel();
  let failures = 3;
  const publish = channel.publishIfIdle.bind(channel);
  channel.publishIfIdle = (...call) =>
    failures-- > 0 ? Promise.reject(new TransientError("away")) : publish(...call);
  await schedule(DAILY, { channel, from: "2026-11-24T02:00:00Z", until: "2026-11-24T12:00:00Z" });
  assert.equal(failures, -1);
  assert.deepEqual(await drain(channel), ["schedule/2026-11-24T03:00:00.000Z/start"]);
});

Deno.test("the schedule stops immediately, even while it sleeps", async () => {
  await using channel = await openTemporaryChannel();
  const stop = new AbortController();
  const running = runSchedule(DAILY, {
    channel,
    hasCompleted: () => Promise.resolve(true),
    plannedUntil: remembering(),
    signal: stop.signal,
  });
  stop.abort();
  await running;
});

Deno.test("a clock that is moved back and forward across planned times requests each run once", async () => {
  await using channel = await openTemporaryChannel();
  const stop = new AbortController();
  const at = (time: string) => Date.parse(`2026-11-${time}Z`);
  const says = [
    "24T02:59",
    "24T02:00",
    "24T03:00:00.001",
    "24T02:59:55",
    "24T03:00:00.003",
    "25T03:00:00.001",
  ].map(at);
  let now = at("24T01:00");
  const requested: string[] = [];
  const clock: Clock = {
    now: () => now,
    async sleep() {
      requested.push(...await drain(channel)); // claim each run before time advances
      const next = says.shift();
      if (next === undefined) stop.abort();
      else now = next;
    },
  };
  await runSchedule(DAILY, {
    channel,
    hasCompleted: () => Promise.resolve(true),
    plannedUntil: remembering(),
    signal: stop.signal,
    clock,
  });
  assert.deepEqual(requested, [
    "schedule/2026-11-24T03:00:00.000Z/start",
    "schedule/2026-11-25T03:00:00.000Z/start",
  ]);
});

Deno.test("after a clock that was a year ahead is corrected, the next planned time is the next one of the correct time", async () => {
  await using channel = await openTemporaryChannel();
  const stop = new AbortController();
  let now = Date.parse("2027-11-24T01:00:00Z");
  const clock: Clock = {
    now: () => now,
    sleep(ms) {
      now = now > Date.parse("2027-01-01T00:00:00Z") ? Date.parse("2026-11-24T01:00:30Z") : now + ms;
      if (now > Date.parse("2026-11-24T12:00:00Z")) stop.abort();
      return Promise.resolve();
    },
  };
  await runSchedule(DAILY, {
    channel,
    hasCompleted: () => Promise.resolve(true),
    plannedUntil: remembering(),
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(60_000)]),
    clock,
  });
  assert.deepEqual(await drain(channel), ["schedule/2026-11-24T03:00:00.000Z/start"]);
});

Deno.test("planned times missed while nothing ran are caught up once, unless they are too old", async () => {
  const cases: [until: string | undefined, hours: number, requested: string[]][] = [
    ["2026-11-21T03:00:00Z", 24, ["schedule/2026-11-24T03:00:00.000Z/start"]], // three times were missed
    ["2026-11-24T03:00:00Z", 24, []],
    ["2026-11-21T03:00:00Z", 1, []],
    ["2026-11-21T03:00:00Z", 0, []],
    [undefined, 24, []], // the first start
  ];
  for (const [until, hours, requested] of cases) {
    await using channel = await openTemporaryChannel();
    const plannedUntil = remembering(until);
    const plan = { ...DAILY, SCHEDULE_CATCH_UP_HOURS: hours };
    const day = { channel, from: "2026-11-24T10:00:00Z", until: "2026-11-24T12:00:00Z", plannedUntil };
    await schedule(plan, day);
    await schedule(plan, day);
    assert.deepEqual(await drain(channel), requested, `${until}, ${hours} h`);
    assert.equal(plannedUntil.at, Date.parse("2026-11-24T10:00:00Z"));
  }
});

Deno.test("the last planned time is stored on disk; an unreadable file counts as missing", async () => {
  const folder = await Deno.makeTempDir({ prefix: "planned-" });
  try {
    const planned = plannedUntilIn(new LocalDocuments(`${folder}/state`));
    assert.equal(await planned.read(), undefined);
    await planned.write(Date.UTC(2026, 10, 24, 3));
    assert.equal(await planned.read(), Date.UTC(2026, 10, 24, 3));
    await Deno.writeTextFile(`${folder}/state/schedule.json`, "{");
    assert.equal(await planned.read(), undefined);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
