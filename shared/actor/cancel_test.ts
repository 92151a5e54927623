import assert from "node:assert/strict";
import { openTemporaryChannel } from "../../tests/support/temporary_channel.ts";
import { newRunId } from "../contracts/ids.ts";
import { HeardCancellations } from "./cancel.ts";
import { compose } from "./message.ts";

Deno.test("a cancellation ends the work on older orders of its run, not on a later order", async () => {
  await using channel = await openTemporaryChannel();
  const stop = new AbortController();
  const cancellations = new HeardCancellations();
  const listening = cancellations.listen(channel, stop.signal);
  const runId = newRunId();
  const before = new Date(Date.now() - 1000).toISOString();
  const cancelled = Promise.withResolvers<Error>();
  const wrongly: Error[] = [];
  const later = new Date(Date.now() + 60_000).toISOString();
  using _newer = cancellations.onCancelled(runId, (reason) => wrongly.push(reason), later);
  using _older = cancellations.onCancelled(runId, cancelled.resolve, before);
  const event = compose("channel:run_events", "c", {
    type: "run_cancelled",
    run_id: runId,
    actor: "api",
    requested_by: "ana",
  });
  await channel.publish(event);
  assert.match((await cancelled.promise).message, /Cancelled by ana/);
  assert.deepEqual(wrongly, []);
  const about = (since: string) => {
    let reason: Error | undefined;
    cancellations.onCancelled(runId, (why) => reason = why, since)[Symbol.dispose]();
    return reason;
  };
  const { published_at } = JSON.parse(event.body);
  assert.ok(about(before), "an order from before the cancellation");
  assert.equal(about(new Date(Date.parse(published_at) + 1).toISOString()), undefined);
  stop.abort();
  await listening;
});
