import assert from "node:assert/strict";
import { newRunId } from "../shared/contracts/ids.ts";
import { RunEvent } from "../shared/contracts/messages.ts";
import { announceRun, markLoaded } from "../shared/store/sqlite/run_writes.ts";
import { tempStore } from "../tests/support/store.ts";
import { pendingOrders } from "./reconcile.ts";
import { recordEvent } from "./record.ts";
import { startPipeline } from "../tests/support/test_pipeline.ts";

const HOUR = 3_600_000;

Deno.test("a run that is loaded and not final has an order under the id of its first one; others have none", async () => {
  await using temp = await tempStore();
  const { store } = temp;
  const make = async (...events: Record<string, unknown>[]) => {
    const runId = newRunId();
    const run = { runId, pipeline: "users", at: new Date().toISOString() };
    await announceRun(store, run);
    await markLoaded(store, {
      ...run,
      rawFile: "data/raw_users/a.jsonl",
      processedFile: "data/processed_users/a.jsonl",
      dlqFile: "data/dlq/a.jsonl",
      validCount: 1,
      invalidCount: 0,
    });
    for (const [n, fields] of events.entries()) {
      const published_at = new Date(Date.now() + n).toISOString();
      const id = `${runId}/phase2/${n === 0 ? "completed" : "event"}/1.${n}`;
      await recordEvent(
        store,
        RunEvent.parse({ id, published_at, run_id: runId, actor: "saver", ...fields }),
      );
    }
    return runId;
  };
  const loaded = { type: "phase_completed", phase: "LOADING", detail: {} };
  const delivered = { type: "phase_completed", phase: "DELIVERING", detail: {} };
  const pending = await make(loaded, { type: "phase_started", phase: "DELIVERING", attempt: 1 });
  const silent = await make(); // the message about its load was lost with the queue
  await make(loaded, delivered);
  const ids = (now: number) => [...pendingOrders(store, now)].flat().map(({ id }) => id);
  assert.deepEqual(ids(Date.now()), [`${pending}/phase2/deliver`]);
  assert.deepEqual(
    ids(Date.now() + HOUR).sort(),
    [`${pending}/phase2/deliver`, `reconcile/${silent}`].sort(),
  );
});

Deno.test("a delivery that waits survives the loss of the queue", async () => {
  await using pipeline = await startPipeline({
    sftp: "none",
    env: { SFTP_HOST: "127.0.0.1", SFTP_PORT: "9", SFTP_HOST_KEY_POLICY: "accept-new" },
  });
  await pipeline.start("extractor", "transformer", "saver");
  const runId = await pipeline.tell();
  await pipeline.status("DELIVERY_PENDING", runId);
  for (const service of ["extractor", "transformer", "saver"]) await pipeline.stop(service);
  Object.assign(pipeline.env, { QUEUE_PATH: "database/new.db", SFTP_HOST: undefined });
  await pipeline.start("saver");
  const { delivery_state } = await pipeline.completed(runId);
  assert.equal(delivery_state, "NOT_CONFIGURED");
});
