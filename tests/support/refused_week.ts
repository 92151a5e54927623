/**
 * A fast-forwarded week in which the SFTP server refuses every connection. Runs in a separate process, so
 * that time and memory are those of the attempts only. Works in the folder of its argument, and prints a
 * `Week` as JSON.
 *
 * @module
 */
import { cpuUsage } from "node:process";
import { compose } from "../../shared/actor/message.ts";
import { runActor } from "../../shared/actor/run_actor.ts";
import type { Channel, Claim } from "../../shared/channel/channel.ts";
import { openEmbeddedChannel } from "../../shared/channel/embedded.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { openSqlite } from "../../shared/store/sqlite/open.ts";
import { courier } from "../../saver/courier.ts";
import { recorder } from "../../saver/saver.ts";
import type { Delivery } from "../../saver/delivery/delivery.ts";
import { Connection, type Login } from "../../saver/delivery/connection.ts";
import { ensureKeys } from "../../local/sftp/keys.ts";
import { loadedRun, usersTables } from "./store.ts";

export interface Week {
  /** Processor time of each attempt, in milliseconds, and the memory of the process after it. */
  readonly tries: { readonly ms: number; readonly bytes: number }[];
  readonly status: string | undefined;
  readonly events: number;
}

const WEEK = 7 * 24 * 3_600_000;
/** One in twenty of a week's attempts shows any growth, and takes only seconds. */
const TWENTY_TIMES = 20;

/** Replaces the clocks of this process with ones that can be set forward. */
function fastClock() {
  const [date, precise] = [Date.now.bind(Date), performance.now.bind(performance)];
  const clock = { ahead: 0 };
  Date.now = () => date() + clock.ahead;
  performance.now = () => precise() + clock.ahead;
  return clock;
}

/** Returns `of` with the members of `change` replaced. */
export function bound<T extends object>(of: T, change: Partial<T>): T {
  return new Proxy(of, {
    get(target, key) {
      const value = Reflect.get(change, key) ?? Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Returns the channel with a clock that is set forward instead of waiting for the next attempt. */
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

/** Connects as the real delivery does, but in this thread: a thread takes half a second to start. */
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

async function week(folder: string): Promise<Week> {
  await using store = await openSqlite(`${folder}/database/data.db`, { pipelines: usersTables([]) });
  await using channel = await openEmbeddedChannel(`${folder}/queue.db`);
  const runId = await loadedRun(store);
  const { privateKey } = await ensureKeys(`${folder}/keys`, { type: "ed25519" });
  const options: Login = {
    host: "127.0.0.1",
    port: 9, // nothing listens there
    user: "test",
    keyPath: privateKey,
    knownHosts: `${folder}/known_hosts`,
    hostKeyPolicy: "accept-new",
  };
  await channel.publish(compose("channel:deliver", "order", { run_id: runId }));
  const clock = fastClock();
  const tries: Week["tries"] = [];
  const stop = new AbortController();
  let last = cpuUsage();
  const onSettled = () => {
    const { user, system } = cpuUsage(last);
    last = cpuUsage();
    tries.push({ ms: (user + system) / 1000, bytes: Deno.memoryUsage().rss });
    if (clock.ahead >= WEEK) stop.abort();
  };
  const { signal } = stop;
  await Promise.all([
    runActor(
      courier({ store, files: new LocalFiles("data"), deliveryTo: () => delivery(options) }),
      withoutWaits(channel, (ms) => clock.ahead += ms),
      { signal, onSettled },
    ),
    runActor(recorder({ store }), channel, { signal }),
  ]);
  return {
    tries,
    status: (await store.runs.byRunId(runId))?.status,
    events: (await store.runs.eventsOf([runId])).get(runId)!.length,
  };
}

if (import.meta.main) {
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify(await week(Deno.args[0]!))));
}
