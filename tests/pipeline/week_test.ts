/**
 * A week in which the SFTP server refuses every connection.
 *
 * @module
 */
import assert from "node:assert/strict";
import { compose } from "../../shared/actor/message.ts";
import { runActor } from "../../shared/actor/run_actor.ts";
import { TransientError } from "../../shared/errors/errors.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { courier } from "../../saver/courier.ts";
import type { Delivery } from "../../saver/delivery/delivery.ts";
import { bound, type Week } from "../support/refused_week.ts";
import { loadedRun, tempStore } from "../support/store.ts";
import { openTemporaryChannel } from "../support/temporary_channel.ts";

const HOUR = 3_600_000;
const program = new URL("../support/refused_week.ts", import.meta.url).pathname;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

Deno.test("a week of refused connections takes a bounded number of rows, and neither memory nor time for each try grows", async () => {
  await using temp = await tempStore();
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", program, temp.folder],
    stdin: "null",
    stderr: "inherit",
  }).output();
  assert.ok(success);
  const { tries, status, events }: Week = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(tries.length > 400, `${tries.length} tries`);
  assert.equal(status, "DELIVERY_PENDING");
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
