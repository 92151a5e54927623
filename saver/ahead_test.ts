import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { compose } from "../shared/actor/message.ts";
import { Presence } from "../shared/actor/presence.ts";
import { openTemporaryChannel } from "../tests/support/temporary_channel.ts";
import { newRunId } from "../shared/contracts/ids.ts";
import { LocalFiles } from "../shared/files/local.ts";
import { MANIFEST, OPENSSH, SftpStage } from "../tests/support/sftp.ts";
import { watchFolder } from "../tests/support/watch.ts";
import { sendAhead } from "./ahead.ts";
import { sftpDelivery } from "./delivery/sftp.ts";
import { needing } from "../tests/support/needs.ts";

const test = needing("sshd");

const LARGE = 9_000_000;

/**
 * Starts the part of a saver that sends files ahead. Its data directory is below the working directory, as
 * messages require.
 */
async function saverAt(pipeline: SftpStage) {
  const data = `data/ahead-test-${crypto.randomUUID()}`;
  await Deno.mkdir(`${data}/raw_users`, { recursive: true });
  const name = `records_20261124_030007.jsonl`;
  const content = new Uint8Array(LARGE).fill(65);
  await Deno.writeFile(`${data}/raw_users/${name}`, content);
  const raw = {
    kind: "raw" as const,
    path: `${data}/raw_users/${name}`,
    name,
    bytes: LARGE,
    sha256: createHash("sha256").update(content).digest("hex"),
  };
  const channel = await openTemporaryChannel();
  const delivery = sftpDelivery(pipeline.options);
  const folder = watchFolder(pipeline.server.folder.disk);
  const stop = new AbortController();
  let requested = 0;
  const deliveryTo = () => {
    requested += 1;
    return Promise.resolve(delivery);
  };
  const looked = Promise.withResolvers<void>();
  const beats = channel.beats.bind(channel);
  channel.beats = async () => {
    const found = await beats();
    looked.resolve();
    return found;
  };
  const sending = sendAhead({ channel, files: new LocalFiles(data), deliveryTo }, stop.signal);
  return {
    raw,
    channel,
    delivery,
    folder,
    /** Resolves once it has looked for couriers. */
    looked: looked.promise,
    /** Returns how often it opened the delivery to send a file ahead. */
    requested: () => requested,
    announce: (runId: string) =>
      channel.publish(compose("channel:phase1_complete", `test/${runId}`, {
        run_id: runId,
        raw_file: raw.path,
        raw_sha256: raw.sha256,
        record_count: 1,
      })),
    courier: () => new Presence({ name: "courier", mailbox: "channel:deliver" }, channel),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await sending;
      folder[Symbol.dispose]();
      await delivery[Symbol.asyncDispose]();
      await channel[Symbol.asyncDispose]();
      await Deno.remove(data, { recursive: true });
    },
  };
}

test("a raw file is sent as soon as it is announced, and removed again if its run fails", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  await using saver = await saverAt(pipeline);
  await using courier = saver.courier();
  await courier.show("idle");
  const runId = newRunId();
  await saver.announce(runId);
  await saver.folder.created(/^\.records_.*\.part$/);
  await saver.channel.publish(compose("channel:run_events", `failed/${runId}`, {
    type: "run_failed",
    run_id: runId,
    actor: "transformer",
    phase: "TRANSFORMING",
    reason: "test",
    retryable: false,
  }));
  await saver.folder.removed(/^\.records_.*\.part$/);
  assert.deepEqual(await pipeline.names(), []);
});

test("if two couriers could get the delivery, nothing is sent ahead", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  await using saver = await saverAt(pipeline);
  await using one = saver.courier();
  await using other = saver.courier();
  await one.show("idle");
  await other.show("idle");
  await saver.announce(newRunId());
  await saver.looked;
  const signal = new AbortController().signal;
  await saver.delivery.deliver([saver.raw], MANIFEST, { signal });
  assert.equal(saver.requested(), 0);
  assert.deepEqual(await pipeline.names(), [MANIFEST.name, saver.raw.name].sort());
});
