/**
 * Publishes messages again that the channel may have lost.
 *
 * A channel can lose its most recent messages: by a failover to a replica that lagged behind, a restored backup, or a
 * removed queue file. The extractor's own state tells which runs have finished and which one hasn't, so it publishes
 * their messages again under the same ids. A mailbox ignores the messages that it knows, and accepts those that it has
 * lost.
 */
import { getLogger } from "@logtape/logtape";
import { keepDoing } from "../shared/actor/backoff.ts";
import { listen } from "../shared/actor/listen.ts";
import { compose } from "../shared/actor/message.ts";
import type { Channel, Outgoing } from "../shared/channel/channel.ts";
import { isFinal, statusAfter } from "../shared/contracts/messages.ts";
import { pipelineOfFile } from "../shared/contracts/names.ts";
import { messageOf, TransientError } from "../shared/errors/errors.ts";
import type { Documents } from "../shared/files/documents.ts";
import type { Files } from "../shared/files/files.ts";
import { forgetAnnouncement, untransformed } from "./announcements.ts";
import type { Checkpoint, Finished } from "./checkpoint.ts";
import { phase1Of } from "./extract.ts";

/**
 * Runs up to this age are published again, transformed or not, in milliseconds: a day. A mailbox remembers ids for
 * longer.
 */
const RECENT_MS = 24 * 3_600_000;

/** For this long after its end, a run is not announced again, in milliseconds: its extractor still publishes. */
const SETTLING_MS = 5_000;

/** How often recent runs are published again, in milliseconds. */
const EVERY_MS = 15_000;

/** How often raw files that were never transformed are announced again, in milliseconds. */
const UNTRANSFORMED_EVERY_MS = 3_600_000;

const PUBLISHED_AT_ONCE = 100;

/**
 * The messages of the last day's runs, except those whose raw file is `gone`, for example after a rejection. A message
 * announces a complete raw file, or requests the unfinished run.
 */
export function recent(
  { current, completed }: Checkpoint,
  now: number = Date.now(),
  gone: ReadonlySet<string> = new Set(),
): Outgoing[] {
  const messages = completed
    .filter((run) => run.message_id !== run.run_id && isKnown(run) && isSettled(run, now))
    .filter((run) => ageOf(run.finished_at, now) < RECENT_MS && !gone.has(run.raw_file))
    .map(announcement);
  if (current?.message_id === undefined || ageOf(current.started_at, now) > RECENT_MS) return messages;
  const pipeline = pipelineOfFile(current.raw_file);
  const fields = { run_id: current.run_id, requested_by: "extractor", pipeline };
  return [...messages, compose("channel:start_run", current.message_id, fields)];
}

/** The announcements of all raw files that were never transformed, of any age, in batches. */
async function* untransformedOnes(
  state: Documents,
  files: Files,
  now: number = Date.now(),
): AsyncGenerator<Outgoing[]> {
  let batch: Outgoing[] = [];
  for await (const run of untransformed(state, files)) {
    if (isSettled(run, now)) batch.push(announcement(run));
    if (batch.length < PUBLISHED_AT_ONCE) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

/**
 * Publishes messages that may be lost, now and regularly, until `signal`. Removes the announcement of a run that has
 * ended.
 */
export async function runReannounce(
  { channel, state, files, openings, now = Date.now }: {
    channel: Channel;
    state: Documents;
    files: Files;
    openings: readonly (() => Promise<Checkpoint>)[];
    now?: () => number;
  },
  signal: AbortSignal,
): Promise<void> {
  await Promise.all([
    ...openings.map((open) =>
      repeat(
        async () => {
          const checkpoint = await open();
          await channel.publish(...recent(checkpoint, now(), await goneOf(checkpoint, files, now())));
        },
        EVERY_MS,
        signal,
      )
    ),
    repeat(
      async () => {
        for await (const batch of untransformedOnes(state, files, now())) await channel.publish(...batch);
      },
      UNTRANSFORMED_EVERY_MS,
      signal,
    ),
    listen(channel, "channel:run_events", (event) => {
      if (isFinal(statusAfter(event))) void forgetAnnouncement(state, event.run_id).catch(() => {});
    }, signal),
  ]);
}

/** Checks the last day's runs only: with a store, each check is a request. */
async function goneOf({ completed }: Checkpoint, files: Files, now: number): Promise<Set<string>> {
  const names = completed.filter(({ finished_at }) => ageOf(finished_at, now) < RECENT_MS)
    .map(({ raw_file }) => raw_file);
  const there = await Promise.all(names.map((name) => files.exists(name).catch(() => true)));
  return new Set(names.filter((_, i) => !there[i]));
}

function repeat(work: () => Promise<void>, everyMs: number, signal: AbortSignal): Promise<void> {
  return keepDoing(work, everyMs, signal, (error) => {
    const isAway = error instanceof TransientError;
    // an unusable state fails the run that needs it, with the reason; it doesn't stop the service
    const level = isAway ? "debug" : "warning";
    getLogger(["etl", "extractor"])[level]("runs not announced again", { reason: messageOf(error) });
    return isAway ? EVERY_MS : everyMs;
  });
}

function ageOf(time: string | undefined, now: number): number {
  return now - (time === undefined ? 0 : Date.parse(time));
}

function announcement(run: Finished): Outgoing {
  const { to, name, fields } = phase1Of(run);
  return compose(to, name, fields, { id: run.message_id });
}

/** A correction that an earlier version finished lacks the line numbers that it corrects. */
function isKnown({ corrects, detail }: Finished): boolean {
  return corrects !== undefined || detail.correction_of === undefined;
}

function isSettled({ finished_at }: Finished, now: number): boolean {
  return finished_at === undefined || now - Date.parse(finished_at) > SETTLING_MS;
}
