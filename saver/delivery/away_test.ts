import assert from "node:assert/strict";
import { TransientError } from "../../shared/errors/errors.ts";
import { MANIFEST, OURS, SftpStage } from "../../tests/support/sftp.ts";
import { sftpDelivery } from "./sftp.ts";

const { signal } = new AbortController();

/** Counts started threads until it is disposed of. */
function countThreads() {
  const { Worker } = globalThis;
  let count = 0;
  globalThis.Worker = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      count += 1;
    }
  };
  return {
    get count() {
      return count;
    },
    [Symbol.dispose]: () => void (globalThis.Worker = Worker),
  };
}

Deno.test("while the server is unreachable only the first try starts a thread; once it is back, files are delivered", async () => {
  await using stage = await SftpStage.open(OURS);
  const file = await stage.file("raw", 9_000_000);
  await using delivery = sftpDelivery(stage.options);
  await stage.server.kill();
  using threads = countThreads();
  const reasons = new Set<string>();
  const started: number[] = [];
  for (let n = 0; n < 5; n++) {
    const failure = await delivery.deliver([file], MANIFEST, { signal }).catch((error) => error);
    assert.ok(failure instanceof TransientError, String(failure));
    reasons.add(failure.message);
    started.push(threads.count);
  }
  assert.equal(reasons.size, 1, "it is reported once, however it is found out");
  assert.deepEqual(started, Array(5).fill(started[0]));
  assert.equal(delivery.sendAhead([file]), undefined);

  await stage.server.start();
  const delivered = await delivery.deliver([file], MANIFEST, { signal });
  assert.deepEqual(delivered.map(({ skipped }) => skipped), [false, false]);
});

Deno.test("a check of an unreachable server ends with the signal of the delivery", async () => {
  await using stage = await SftpStage.open(OURS);
  await using delivery = sftpDelivery(stage.options);
  await stage.server.kill();
  await assert.rejects(delivery.deliver([], MANIFEST, { signal }), TransientError);
  const reason = new Error("stop");
  await assert.rejects(delivery.deliver([], MANIFEST, { signal: AbortSignal.abort(reason) }), reason);
});
