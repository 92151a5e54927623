/**
 * Sends files ahead: as soon as a phase has announced them, before the run is loaded and the courier gets its order.
 * This only saves time: the courier sends every file that wasn't sent ahead, or was lost.
 */
import { basename } from "node:path";
import { listen } from "../shared/actor/listen.ts";
import { type Channel, isAlive } from "../shared/channel/channel.ts";
import { isFinal, statusAfter } from "../shared/contracts/messages.ts";
import type { Files } from "../shared/files/files.ts";
import type { FileKind } from "../shared/contracts/names.ts";
import type { Ahead, Delivery, LocalFile } from "./delivery/delivery.ts";

interface AheadParts {
  readonly channel: Channel;
  readonly files: Files;
  /** Undefined if a pipeline's files aren't delivered. */
  deliveryTo(pipeline: string): Promise<Delivery | undefined>;
}

/** A file as a message announces it. */
type Announced = readonly [kind: FileKind, path: string, sha256: string | undefined];

/** Sends files ahead until `signal`. Removes those of a run that is held, or that ends without a delivery. */
export async function sendAhead(parts: AheadParts, signal: AbortSignal): Promise<void> {
  const { channel } = parts;
  const sent = new Map<string, Promise<Ahead | undefined>[]>(); // run -> its files that were sent ahead
  const send = (runId: string, pipeline: string, ...announced: Announced[]) => {
    // the courier gets the same error, and reports it
    const sending = sendFiles(parts, pipeline, announced).catch(() => undefined);
    sent.set(runId, [...sent.get(runId) ?? [], sending]);
  };
  await Promise.all([
    listen(
      channel,
      "channel:phase1_complete",
      ({ run_id, pipeline, raw_file, raw_sha256 }) => send(run_id, pipeline, ["raw", raw_file, raw_sha256]),
      signal,
    ),
    listen(
      channel,
      "channel:phase2_complete",
      ({ run_id, pipeline, processed_file, processed_sha256, dlq_file, dlq_sha256 }) =>
        send(run_id, pipeline, ["processed", processed_file, processed_sha256], [
          "invalid",
          dlq_file,
          dlq_sha256,
        ]),
      signal,
    ),
    listen(channel, "channel:run_events", (event) => {
      if (event.type !== "run_held" && !isFinal(statusAfter(event))) return;
      for (const sending of sent.get(event.run_id) ?? []) void sending.then((ahead) => ahead?.forget());
      sent.delete(event.run_id);
    }, signal),
  ]);
}

async function sendFiles(
  { channel, files, deliveryTo }: AheadParts,
  pipeline: string,
  announced: readonly Announced[],
): Promise<Ahead | undefined> {
  // with several couriers, it isn't known which one will claim the delivery
  if (await couriersOn(channel) !== 1) return undefined;
  const local: LocalFile[] = [];
  for (const [kind, name, sha256] of announced) {
    if (sha256 === undefined) return undefined;
    const path = files.inside(name);
    local.push({ kind, path, name: basename(name), sha256, bytes: await files.size(name) });
  }
  return (await deliveryTo(pipeline))?.sendAhead(local);
}

async function couriersOn(channel: Channel): Promise<number> {
  return (await channel.beats()).filter((beat) => beat.actor === "courier" && isAlive(beat)).length;
}
