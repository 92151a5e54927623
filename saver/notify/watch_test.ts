import assert from "node:assert/strict";
import { decode } from "../../shared/actor/message.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { openChannel } from "../../shared/channel/open.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { RunEvent } from "../../shared/contracts/messages.ts";
import type { Notification } from "../../shared/contracts/notifications.ts";
import { lastTick, nextTick, type ScheduleConfig } from "../../shared/pipeline/schedule.ts";
import { startRedis } from "../../tests/support/redis.ts";
import { channelBeside, type Engine, onEachEngine, SQLITE, storeOn } from "../../tests/support/engines.ts";
import { openTemporaryChannel } from "../../tests/support/temporary_channel.ts";
import { look, type WatchParts } from "./watch.ts";
import type { LoadedRun } from "../../shared/store/writes.ts";

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const DAILY = { SCHEDULE: "0 3 * * *", SLEEP_INTERVAL_SECONDS: undefined, TZ: "UTC" };
const at = (text: string) => Date.parse(`2026-11-${text}Z`);

async function stage(
  engine: Engine = SQLITE,
  timetable: ScheduleConfig = DAILY,
  open: () => Channel | Promise<Channel> = openTemporaryChannel,
) {
  const temp = await storeOn(engine);
  const channel = await open();
  const parts: WatchParts = {
    store: temp.store,
    channel,
    timetables: [{ pipeline: "users", ...timetable }],
    broken: [],
    lateAfterMs: HOUR,
    publicUrl: undefined,
  };
  let count = 0;
  return {
    parts,
    store: temp.store,
    channel,
    /** Looks at `now`; returns the orders and takes them from the mailbox. */
    async look(now: number, changed: Partial<WatchParts> = {}): Promise<Notification[]> {
      await look({ ...parts, ...changed }, now);
      const ordered: Notification[] = [];
      while ((await channel.mailbox("channel:notify").state()).depth > 0) {
        const signal = AbortSignal.timeout(60_000);
        const claim = await channel.claim("channel:notify", { leaseMs: 1_000, signal });
        ordered.push(decode("channel:notify", claim!.body).notification);
        await claim!.complete();
      }
      return ordered;
    },
    async tell(runId: string, time: number, event: Record<string, unknown>): Promise<RunEvent> {
      const whole = RunEvent.parse({
        id: `e/${count++}`,
        published_at: new Date(time).toISOString(),
        run_id: runId,
        actor: "saver",
        pipeline: "users",
        ...event,
      });
      await temp.store.record([whole]);
      return whole;
    },
    async complete(time: number) {
      const detail = { state: "DELIVERED" };
      await this.tell(newRunId(time), time, { type: "phase_completed", phase: "DELIVERING", detail });
    },
    async [Symbol.asyncDispose]() {
      await channel[Symbol.asyncDispose]();
      await temp[Symbol.asyncDispose]();
    },
  };
}

const typesOf = (all: readonly Notification[]) => all.map(({ type }) => type);

async function lateOnce(engine: Engine, open?: () => Channel | Promise<Channel>): Promise<void> {
  await using s = await stage(engine, DAILY, open);
  assert.deepEqual(await s.look(at("23T10:00:00")), [], "times planned before the watch began are not late");
  assert.deepEqual(await s.look(at("24T03:30:00")), [], "a run may take its time");
  const [late, ...others] = await s.look(at("24T04:00:00"));
  assert.deepEqual(others, []);
  assert.equal(late!.type, "run.late");
  assert.equal(
    late!.data.says,
    "No run has completed since 2026-11-24T03:00:00.000Z, when one was planned, 60 minutes ago. No run exists.",
  );
  assert.equal(late!.data.extractor, "not running");
  for (const again of ["24T04:01:00", "24T12:00:00", "25T03:59:00"]) {
    assert.deepEqual(await s.look(at(again)), [], "a planned time is reported once");
  }
  assert.deepEqual(typesOf(await s.look(at("25T04:00:00"))), ["run.late"]);
  await s.complete(at("25T23:00:00"));
  await s.complete(at("26T03:10:00"));
  assert.deepEqual(await s.look(at("26T04:00:00")), []);
}

onEachEngine("a planned time without a completed run is reported once", async (engine) => {
  if (channelBeside(engine) === "embedded") return await lateOnce(engine);
  await using server = await startRedis();
  await lateOnce(engine, () => openChannel({ redisUrl: server.url, queuePath: "" }));
}, "redis-server");

onEachEngine("after days without a saver, only the last missed time is reported", async (engine) => {
  await using s = await stage(engine);
  await s.look(at("20T10:00:00"));
  const late = await s.look(at("24T10:00:00"));
  assert.deepEqual(late.map(({ data }) => data.planned), ["2026-11-24T03:00:00.000Z"]);
  assert.deepEqual(await s.look(at("24T10:01:00")), []);
});

Deno.test("a run planned every minute that never starts is reported once an hour", async () => {
  await using s = await stage(SQLITE, { ...DAILY, SLEEP_INTERVAL_SECONDS: 60 });
  let count = 0;
  for (let now = at("24T00:00:00"); now < at("24T12:00:00"); now += MINUTE) {
    count += (await s.look(now)).length;
  }
  assert.ok(count >= 10 && count <= 12, `${count} notifications`);
});

Deno.test(
  "a clock that jumps ahead and back reports no planned time twice, and reports later ones",
  async () => {
    await using s = await stage();
    await s.look(at("23T10:00:00"));
    assert.equal((await s.look(at("24T04:00:00"))).length, 1);
    assert.equal((await s.look(at("24T04:00:00") + 365 * DAY)).length, 1, "a year ahead");
    assert.deepEqual(await s.look(at("24T04:05:00")), []);
    assert.deepEqual(await s.look(at("24T12:00:00")), []);
    assert.equal((await s.look(at("25T04:00:00"))).length, 1);
  },
);

Deno.test(
  "a changed schedule reports nothing about the time before, and off reports nothing",
  async () => {
    await using s = await stage();
    await s.look(at("23T10:00:00"));
    const hourly = [{ pipeline: "users", ...DAILY, SCHEDULE: "0 * * * *" }];
    assert.deepEqual(await s.look(at("24T10:30:00"), { timetables: hourly }), []);
    assert.deepEqual(await s.look(at("24T11:30:00"), { timetables: hourly }), []);
    assert.equal((await s.look(at("24T12:00:00"), { timetables: hourly })).length, 1);
    const off = [{ pipeline: "users", ...DAILY, SCHEDULE: "off" }];
    await s.look(at("24T13:00:00"), { timetables: off });
    assert.deepEqual(await s.look(at("29T13:00:00"), { timetables: off }), []);
  },
);

Deno.test(
  "a pipeline whose definition became unusable is late by its last schedule",
  async () => {
    await using s = await stage();
    await s.look(at("23T10:00:00"));
    const late = await s.look(at("24T04:00:00"), { timetables: [], broken: ["users", "never_seen"] });
    assert.deepEqual(typesOf(late), ["run.late"]);
  },
);

Deno.test("while events wait to be recorded, no run is reported as late", async () => {
  await using s = await stage();
  await s.look(at("23T10:00:00"));
  const body = JSON.stringify({ id: "x", published_at: new Date(Date.now() - HOUR).toISOString() });
  await s.channel.publish({ to: "channel:run_events", id: "x", body });
  const { mailbox } = s.channel;
  s.channel.mailbox = function (name) {
    const own = mailbox.call(this, name);
    const old = async () => ({ ...await own.state(), oldestAgeMs: HOUR });
    return name === "channel:run_events" ? Object.assign(Object.create(own), { state: old }) : own;
  };
  assert.deepEqual(await s.look(at("24T04:00:00")), []);
  s.channel.mailbox = mailbox;
  assert.equal((await s.look(at("24T04:00:00"))).length, 1);
});

onEachEngine(
  "a delivery that has waited for 15 minutes is reported once, also after a restart",
  async (engine) => {
    await using s = await stage(engine, { ...DAILY, SCHEDULE: "off" });
    const [first, second] = [newRunId(at("24T03:00:00")), newRunId(at("24T03:05:00"))];
    for (const [runId, time] of [[first, at("24T03:00:00")], [second, at("24T03:05:00")]] as const) {
      await s.tell(runId, time, { type: "phase_completed", phase: "LOADING", detail: {} });
      await s.store.markLoaded({ runId, pipeline: "users", validCount: 1, invalidCount: 0 } as LoadedRun);
    }
    const away = "Cannot connect to sftp.example.com:22";
    const retrying = { phase: "DELIVERING", attempt: 1, reason: away, retry_after_ms: 60_000 };
    await s.tell(first, at("24T03:00:10"), { type: "phase_retrying", ...retrying });
    assert.deepEqual(await s.look(at("24T03:14:59")), []);
    const [pending, ...others] = await s.look(at("24T03:15:00"));
    assert.deepEqual(others, []);
    assert.deepEqual([pending!.type, pending!.data.run, pending!.data.other_runs, pending!.data.reason], [
      "delivery.pending",
      1,
      1,
      away,
    ]);
    assert.deepEqual(
      await s.look(at("24T03:45:00")),
      [],
      "one notification covers the pipeline's later runs",
    );
    await s.tell(first, at("24T03:50:00"), {
      type: "phase_completed",
      phase: "DELIVERING",
      detail: { state: "DELIVERED" },
    });
    const [next] = await s.look(at("24T03:51:00"));
    assert.deepEqual([next!.data.run, next!.data.reason], [2, null], "an order that nobody took");
  },
);

onEachEngine(
  "new dead letters are reported once for each channel and check, those of notifications never",
  async (engine) => {
    await using s = await stage(engine);
    const bury = async (to: string, id: string) => {
      await s.channel.publish({ to, id, body: '{"secret":"of a record"}' });
      const claim = await s.channel.claim(to, { leaseMs: 1_000, signal: AbortSignal.timeout(60_000) });
      await claim!.bury("unreadable: of a record");
    };
    await bury("channel:phase1_complete", "a");
    await bury("channel:phase1_complete", "b");
    await bury("channel:notify", "c");
    const now = Date.now();
    const [letters, ...others] = await s.look(now);
    assert.deepEqual(others, []);
    assert.equal(letters!.type, "dead_letter.new");
    assert.deepEqual([letters!.data.channel, letters!.data.dead_letters], ["channel:phase1_complete", 2]);
    assert.doesNotMatch(JSON.stringify(letters), /of a record/);
    assert.deepEqual(await s.look(now + MINUTE), []);
    await bury("channel:phase1_complete", "d");
    assert.equal((await s.look(now + 2 * MINUTE)).length, 1);
  },
);

Deno.test("the last planned time before a moment is the one with no other planned time in between", () => {
  const madrid = { ...DAILY, TZ: "Europe/Madrid", SCHEDULE: "30 2 * * *" };
  for (const timetable of [DAILY, madrid, { ...DAILY, SLEEP_INTERVAL_SECONDS: 7 }]) {
    for (let now = Date.UTC(2026, 2, 26); now < Date.UTC(2026, 2, 31); now += 7 * HOUR + 1_234) {
      const last = lastTick(timetable, now)!;
      assert.ok(last <= now && nextTick(timetable, last)! > now);
      assert.equal(lastTick(timetable, last), last);
    }
  }
});
