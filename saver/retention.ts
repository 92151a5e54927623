/** Retention: removes local files that are old and verified on the SFTP server. Rows of the database stay. */
import type { Logger } from "@logtape/logtape";
import { keepDoing } from "../shared/actor/backoff.ts";
import { isFinal } from "../shared/contracts/messages.ts";
import { messageOf, PermanentError } from "../shared/errors/errors.ts";
import type { Channel } from "../shared/channel/channel.ts";
import type { Files } from "../shared/files/files.ts";
import { removeReceipt } from "../shared/files/receipts.ts";
import { sealedFolder } from "./courier.ts";
import type { DeliveryRow, FileRow, RunRow } from "../shared/store/rows.ts";
import { runPages } from "../shared/store/run_pages.ts";
import type { Runs, Store } from "../shared/store/store.ts";
import { DAY_MS, oldBefore } from "./trimming.ts";

/** A completed run whose local files are old. */
interface Old {
  readonly run: RunRow;
  /** Files that haven't been removed yet. */
  readonly files: readonly FileRow[];
  /** Why the files are kept; undefined if they can be removed. */
  readonly keep: string | undefined;
}

interface RetentionParts {
  readonly store: Store;
  readonly files: Files;
  /** Age in days from which files are removed. */
  readonly days: number;
  /** Requests for corrections wait here until they are recorded. */
  readonly channel: Pick<Channel, "mailbox">;
  /** Gets a line for each removed file, and for each that couldn't be removed. */
  readonly log: Pick<Logger, "info" | "warning" | "error">;
}

/** The completed runs that were requested more than `days` before `now` and still have local files, newest first. */
export async function* oldRuns(runs: Runs, days: number, now: number = Date.now()): AsyncGenerator<Old> {
  const before = oldBefore(days, now);
  for await (const page of runPages(runs, { status: ["COMPLETED"], until: before })) {
    for (const run of page) {
      const files = await leftOf(runs, run);
      if (files.length > 0) yield { run, files, keep: await whyKeep(runs, run, before) };
    }
  }
}

/** Removes the local files of every old run that has no reason to keep them. Returns their number. */
export async function removeOld(
  parts: RetentionParts,
  signal: AbortSignal,
  now: number = Date.now(),
): Promise<number> {
  let removed = 0;
  for await (const { run, keep } of oldRuns(parts.store.runs, parts.days, now)) {
    if (signal.aborted) break;
    if (keep === undefined) removed += await removeFiles(parts, run, signal, now);
  }
  return removed;
}

/** Removes old files now and then once a day, until `signal`. Failures are logged; the next day retries. */
export async function keepRemoving(parts: RetentionParts, signal: AbortSignal): Promise<void> {
  const { days, log } = parts;
  await keepDoing(
    async () => log.info("retention done", { days, removed: await removeOld(parts, signal) }),
    DAY_MS,
    signal,
    (error) => log.error("retention failed", { days, reason: messageOf(error) }),
  );
}

/** Why the files of a run must be kept; undefined if they can be removed. */
async function whyKeep(
  runs: Runs,
  run: RunRow | undefined,
  before: string,
): Promise<string | undefined> {
  if (run?.status !== "COMPLETED") return `the run is ${run?.status}`;
  if (run.delivery_state !== "DELIVERED") return `its delivery is ${run.delivery_state ?? "not begun"}`;
  const files = (await runs.filesOf([run.run_id])).get(run.run_id) ?? [];
  const deliveries = (await runs.deliveriesOf([run.run_id])).get(run.run_id) ?? [];
  if (files.length !== 3 || deliveries.length !== 4) return "not all of its files were delivered";
  const unproven = files.find((file) => !deliveries.some((delivery) => proves(delivery, file)));
  if (unproven !== undefined) return `its ${unproven.kind} file wasn't verified on the server by its content`;
  if (deliveries.some(({ delivered_at }) => delivered_at >= before)) return "it was delivered since";
  const correction = (await runs.correctionsOf([run.run_id])).get(run.run_id)?.find(({ status }) =>
    !isFinal(status)
  );
  return correction && `its correction ${correction.run_id} is ${correction.status}`;
}

function proves(delivery: DeliveryRow, file: FileRow): boolean {
  return delivery.kind === file.kind && delivery.sha256 === file.sha256 && delivery.verified === "content";
}

async function leftOf(runs: Runs, { run_id }: RunRow): Promise<FileRow[]> {
  return ((await runs.filesOf([run_id])).get(run_id) ?? []).filter((file) => file.removed_at === null);
}

/** Removes a run's encrypted files first, then each file whose delivered copy is complete. */
async function removeFiles(
  { store, files, days, channel, log }: RetentionParts,
  run: RunRow,
  signal: AbortSignal,
  now: number,
): Promise<number> {
  const { run_id } = run;
  const before = oldBefore(days, now);
  let removed = 0;
  for (const file of await leftOf(store.runs, run)) {
    const { kind, name, sha256, bytes } = file;
    const about = { run_id, kind, name, sha256, bytes };
    try {
      await refuseChanged(files, file, signal);
      // no correction or delivery can be requested meanwhile
      const keep = await store.removeFile(file.id, new Date(now).toISOString(), async () => {
        const why = await whyKeep(store.runs, await store.runs.byRunId(run_id), before) ??
          await whyUnknown(channel, file);
        if (why !== undefined) return why;
        await files.sealed.remove(sealedFolder(files, run_id));
        await files.remove(name);
        if (kind === "processed") await removeReceipt(files, name);
      }, { signal });
      if (keep !== undefined) {
        log.info("a delivered file stays", { ...about, reason: keep });
        break;
      }
      removed += 1;
      log.info("removed a delivered file", about);
    } catch (error) {
      if (signal.aborted) throw error;
      log.warning("cannot remove a delivered file", { ...about, reason: messageOf(error) });
    }
  }
  return removed;
}

/** A correction reads the file of the invalid records; its request may have been published and not recorded yet. */
async function whyUnknown(
  channel: RetentionParts["channel"],
  { kind }: FileRow,
): Promise<string | undefined> {
  if (kind !== "invalid") return undefined;
  const { depth } = await channel.mailbox("channel:run_events").state();
  return depth === 0 ? undefined : `${depth} event(s), maybe of its correction, wait to be recorded`;
}

/** A file that differs from the delivered one may have been edited by a person. A missing file is accepted. */
async function refuseChanged(files: Files, { name, sha256 }: FileRow, signal: AbortSignal): Promise<void> {
  if (!(await files.exists(name))) return;
  const found = await files.facts(name, signal);
  if (found.sha256 === sha256) return;
  throw new PermanentError(
    `Cannot remove ${name}: its SHA-256 is ${found.sha256}, but ${sha256} was delivered. Look at it, and remove it by hand.`,
  );
}
