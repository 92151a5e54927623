import assert from "node:assert/strict";
import { RunEvent } from "../shared/contracts/messages.ts";
import { onEachEngine, storeOn } from "../tests/support/engines.ts";
import { plainClient } from "../tests/support/redis_client.ts";
import { loadedRun } from "../tests/support/store.ts";
import { pendingOrders } from "./reconcile.ts";
import { startPipeline } from "../tests/support/test_pipeline.ts";
import type { Store } from "../shared/store/store.ts";

const HOUR = 3_600_000;

type EventFields = Record<string, unknown>;
const loaded = { type: "phase_completed", phase: "LOADING", detail: {} };
const delivered = { type: "phase_completed", phase: "DELIVERING", detail: {} };

/** Loads a run, with these `events`. */
async function makeLoaded(store: Store, ...events: EventFields[]): Promise<string> {
  const runId = await loadedRun(store);
  for (const [n, fields] of events.entries()) await tell(store, runId, n, fields);
  return runId;
}

async function tell(store: Store, runId: string, n: number, fields: EventFields): Promise<void> {
  const published_at = new Date(Date.now() + n).toISOString();
  const id = `${runId}/phase2/${n === 0 ? "completed" : "event"}/1.${n}`;
  await store.record([RunEvent.parse({ id, published_at, run_id: runId, actor: "saver", ...fields })]);
}

onEachEngine(
  "a loaded run that isn't final has an order under the id of its first one; others have none",
  async (engine) => {
    await using temp = await storeOn(engine);
    const { store } = temp;
    const make = (...events: EventFields[]) => makeLoaded(store, ...events);
    const pending = await make(loaded, { type: "phase_started", phase: "DELIVERING", attempt: 1 });
    const silent = await make(); // the message about its load was lost with the queue
    await make(loaded, delivered);
    const ids = async (now: number) =>
      (await Array.fromAsync(pendingOrders(store, now))).flat().map(({ id }) => id);
    assert.deepEqual(await ids(Date.now()), [`${pending}/phase2/deliver`]);
    assert.deepEqual(
      (await ids(Date.now() + HOUR)).sort(),
      [`${pending}/phase2/deliver`, `reconcile/${silent}`].sort(),
    );
  },
);

onEachEngine("runs that end while orders are created again hide no others", async (engine) => {
  await using temp = await storeOn(engine);
  const { store } = temp;
  const runs: string[] = [];
  for (let i = 0; i < 150; i++) runs.push(await makeLoaded(store, loaded));
  const found: string[] = [];
  for await (const orders of pendingOrders(store)) {
    found.push(...orders.map(({ id }) => id));
    for (const runId of runs.slice(-60)) await tell(store, runId, 1, delivered);
  }
  assert.equal(new Set(found).size, 150);
});

onEachEngine(
  "a delivery survives a Redis that lost its messages and is unreachable at the start, and an unreadable folder",
  async (engine) => {
    await using pipeline = await startPipeline({
      engine,
      channel: "redis",
      sftp: "none",
      env: { SFTP_HOST: "127.0.0.1", SFTP_PORT: "9", SFTP_HOST_KEY_POLICY: "accept-new" },
    });
    await pipeline.start("extractor", "transformer", "saver");
    const runId = await pipeline.tell();
    await pipeline.status("DELIVERY_PENDING", runId);
    for (const service of ["extractor", "transformer", "saver"]) await pipeline.stop(service);
    const redis = pipeline.redis!;
    {
      using client = await plainClient(redis);
      await client.flushAll();
    }
    await redis.stop();
    const receipts = `${pipeline.folder}/data/state/transformed`;
    await Deno.remove(receipts, { recursive: true });
    await Deno.symlink("transformed", receipts); // points to itself, so it can't be read
    pipeline.env.SFTP_HOST = undefined;
    pipeline.begin("saver");
    await pipeline.logged(/not reconciled.*can't be reached/, "saver");
    await redis.start();
    const { delivery_state } = await pipeline.completed(runId);
    assert.equal(delivery_state, "NOT_CONFIGURED");
    await pipeline.logged(/not reconciled.*state\/transformed/, "saver");
  },
  "redis-server",
);

onEachEngine("a waiting delivery survives the loss of the queue", async (engine) => {
  await using pipeline = await startPipeline({
    engine,
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
