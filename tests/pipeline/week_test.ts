/**
 * A week in which the SFTP server refuses every connection, in fast motion.
 *
 * @module
 */
import assert from "node:assert/strict";
import { compose } from "../../shared/actor/message.ts";
import { runActor } from "../../shared/actor/run_actor.ts";
import type { Channel, Claim } from "../../shared/channel/channel.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { TransientError } from "../../shared/errors/errors.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { courier } from "../../saver/courier.ts";
import { recorder } from "../../saver/saver.ts";
import type { Delivery } from "../../saver/delivery/delivery.ts";
import { Connection, type Login } from "../../saver/delivery/connection.ts";
import { ensureKeys } from "../../local/sftp/keys.ts";
import { tempStore } from "../support/store.ts";
import { openTemporaryChannel } from "../support/temporary_channel.ts";
import type { SqliteStore } from "../../shared/store/sqlite/open.ts";

const HOUR = 3_600_000;
const WEEK = 7 * 24 * HOUR;
/** One in twenty of a week's tries shows what grows, and takes seconds. */
const TWENTY_TIMES = 20;

/** This process's clocks, which can be put forward; disposing of it puts them right again. */
function fastClock() {
  const [date, precise] = [Date.now.bind(Date), performance.now.bind(performance)];
  let ahead = 0;
  Date.now = () => date() + ahead;
  performance.now = () => precise() + ahead;
  return {
    get ahead() {
      return ahead;
    },
    advance: (ms: number) => void (ahead += ms),
    [Symbol.dispose]() {
      Date.now = date;
      performance.now = precise;
    },
  };
}

/** `of`, with some of it replaced. */
function bound<T extends object>(of: T, change: Partial<T>): T {
  return new Proxy(of, {
    get(target, key) {
      const value = Reflect.get(change, key) ?? Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A run that is loaded and waits for its delivery. */
async function loadedRun(store: SqliteStore): Promise<string> {
  const run = { runId: newRunId(), pipeline: "users", at: new Date().toISOString() };
  await store.announceRun(run);
  await store.markLoaded({
    ...run,
    rawFile: "data/raw_users/a.jsonl",
    processedFile: "data/processed_users/a.jsonl",
    dlqFile: "data/dlq/a.jsonl",
    validCount: 1,
    invalidCount: 0,
  });
  return run.runId;
}

/** The channel, but for waits until the next try: instead of them the clock is put forward. */
function withoutWaits(channel: Channel, advance: (ms: number) => void): Channel {
  const fast = (claim: Claim): Claim =>
    bound(claim, {
      async retry(afterMs, reason, options) {
        await claim.retry(afterMs, reason, options);
        advance(TWENTY_TIMES * afterMs);
      },
    });
  return bound(channel, {
    claim: async (mailbox, options) => {
      const claim = await channel.claim(mailbox, options);
      return claim && fast(claim);
    },
  });
}

/** Connects as the real one does, but in this thread: a thread for each try takes half a second to start. */
function delivery(options: Login): Delivery {
  const connect = async (signal: AbortSignal) => {
    await using _connection = await Connection.open(options, signal);
    throw new Error("The connection was wanted to be refused.");
  };
  return {
    deliver: (_files, _manifest, { signal }) => connect(signal),
    probe: connect,
    sendAhead: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

Deno.test("a week of refused connections takes a bounded number of rows, and neither memory nor time for each try grows", async () => {
  await using owned = new AsyncDisposableStack();
  const temp = owned.use(await tempStore());
  const { store, folder } = temp;
  const runId = await loadedRun(store);
  const { privateKey } = await ensureKeys(`${folder}/keys`, { type: "ed25519" });
  const options: Login = {
    host: "127.0.0.1",
    port: 9, // nobody listens there
    user: "test",
    keyPath: privateKey,
    knownHosts: `${folder}/known_hosts`,
    hostKeyPolicy: "accept-new",
  };
  const channel = owned.use(await openTemporaryChannel());
  await channel.publish(compose("channel:deliver", "order", { run_id: runId }));

  using clock = fastClock();
  const tries: { ms: number; bytes: number }[] = [];
  const stop = new AbortController();
  let last = performance.now() - clock.ahead;
  const onSettled = () => {
    const now = performance.now() - clock.ahead;
    tries.push({ ms: now - last, bytes: Deno.memoryUsage().rss });
    last = now;
    if (clock.ahead >= WEEK) stop.abort();
  };
  const { signal } = stop;
  const files = new LocalFiles("data");
  await Promise.all([
    runActor(
      courier({ store, files, deliveryTo: () => delivery(options) }),
      withoutWaits(channel, clock.advance),
      { signal, onSettled },
    ),
    runActor(recorder({ store }), channel, { signal }),
  ]);
  assert.ok(tries.length > 400, `${tries.length} tries`);
  assert.equal((await store.runs.byRunId(runId))?.status, "DELIVERY_PENDING");
  const events = (await store.runs.eventsOf([runId])).get(runId)!.length;
  assert.ok(events > 100 && events <= 7 * 24 + 3, `${events} events: one an hour`);
  const quarter = tries.length >> 2;
  const [early, late] = [tries.slice(10, quarter), tries.slice(-quarter)];
  const time = (of: typeof tries) => median(of.map(({ ms }) => ms));
  assert.ok(time(late) < 2 * time(early), `${time(early)} ms a try at first, ${time(late)} ms at last`);
  const memory = (of: typeof tries) => median(of.map(({ bytes }) => bytes));
  assert.ok(memory(late) - memory(early) < 40e6, `${memory(early)} bytes at first, ${memory(late)} at last`);
});

Deno.test("an order waits for its server for a week, however many tries that takes, and no longer", async () => {
  await using owned = new AsyncDisposableStack();
  const { store } = owned.use(await tempStore());
  const runId = await loadedRun(store);
  const channel = owned.use(await openTemporaryChannel());
  await channel.publish(compose("channel:deliver", "order", { run_id: runId }));
  const tries = [{ attempt: 12_000, days: 6.9 }, { attempt: 12_001, days: 7.1 }];
  const inTime = bound(channel, {
    claim: async (mailbox, options) => {
      const claim = await channel.claim(mailbox, options);
      const next = claim && tries.shift();
      return next && bound(claim, {
        attempt: next.attempt,
        publishedAt: Date.now() - next.days * 24 * HOUR,
        retry: (_, reason, options) => claim.retry(0, reason, options),
      });
    },
  });
  const away: Delivery = {
    deliver: () => Promise.reject(new TransientError("The server is away.")),
    probe: () => Promise.reject(new TransientError("The server is away.")),
    sendAhead: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const stop = new AbortController();
  const settled: [string, string | undefined][] = [];
  await runActor(courier({ store, files: new LocalFiles("data"), deliveryTo: () => away }), inTime, {
    signal: stop.signal,
    onSettled(outcome, reason) {
      settled.push([outcome, reason]);
      if (tries.length === 0) stop.abort();
    },
  });
  assert.deepEqual(settled, [
    ["again", "The server is away."],
    ["never", "The server is away. (failed 12001 times)"],
  ]);
});
