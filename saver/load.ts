/** Loads the three files of a run. */
import type { Handling } from "../shared/actor/actor.ts";
import { stamp } from "../shared/contracts/ids.ts";
import type { Phase2Complete } from "../shared/contracts/messages.ts";
import type { Files } from "../shared/files/files.ts";
import type { FileKind } from "../shared/contracts/names.ts";
import type { Store } from "../shared/store/store.ts";

interface LoadPorts {
  readonly store: Store;
  readonly files: Pick<Files, "lines" | "size">;
  /** Aborts the load, and rolls back the file that is being loaded. */
  readonly signal?: AbortSignal | undefined;
  /** Called at intervals with the number of records of all three files. */
  readonly progress?: Handling["progress"] | undefined;
}

/** The number of records in all files and in each, and how many files an earlier try had loaded. */
type LoadDetail = Record<"records" | FileKind | "skipped", number>;

/**
 * Loads a run: its row, then each file, then a mark that all files are loaded. Each step is a transaction, so that a
 * repeat resumes at the missing file.
 *
 * @throws PermanentError when a file is missing, isn't the announced one, or doesn't have the announced number of
 * records.
 * @throws NoSpace when the database's disk has less free space than twice the size of a file.
 * @throws TransientError when the database is locked, or the disk fails.
 */
export async function loadRun(
  message: Phase2Complete,
  { store, files, signal, progress }: LoadPorts,
): Promise<LoadDetail> {
  const run = {
    runId: message.run_id,
    pipeline: message.pipeline,
    at: message.published_at ?? stamp(),
    source: message.source,
    correctionOf: message.correction_of,
  };
  await store.announceRun(run);
  // the raw file holds every record of the other two
  const total = 2 * (message.valid_count + message.invalid_count);
  const loadedBefore = (await store.runs.filesOf([run.runId])).get(run.runId) ?? [];
  let before = 0;
  const report = (done: number) => progress?.({ done, total: Math.max(total, done), unit: "records" });
  const load = async (kind: FileKind, name: string, sha256: string | undefined, records?: number) => {
    await store.tidy();
    if (!loadedBefore.some((file) => file.kind === kind)) {
      await store.needSpace(await files.size(name), `load ${name}`);
    }
    const loaded = await store.loadFile(
      { runId: run.runId, pipeline: run.pipeline, kind, name, sha256, records },
      (onEnd) => files.lines(name, { sha256, signal, onEnd }),
      {
        signal,
        progress: (records) => report(before + records),
      },
    );
    report(before += loaded.records);
    return loaded;
  };
  const raw = await load("raw", message.raw_file, message.raw_sha256);
  const processed = await load(
    "processed",
    message.processed_file,
    message.processed_sha256,
    message.valid_count,
  );
  const invalid = await load("invalid", message.dlq_file, message.dlq_sha256, message.invalid_count);
  await store.markLoaded({
    ...run,
    rawFile: message.raw_file,
    processedFile: message.processed_file,
    dlqFile: message.dlq_file,
    validCount: message.valid_count,
    invalidCount: message.invalid_count,
    corrects: message.corrects,
    since: message.since,
    completeness: message.completeness,
    lookupSha256: message.lookup_sha256,
    rulesSha256: message.rules_sha256,
    fields: message.fields,
  }, { signal });
  await store.tidy();
  return {
    records: raw.records + processed.records + invalid.records,
    raw: raw.records,
    processed: processed.records,
    invalid: invalid.records,
    skipped: [raw, processed, invalid].filter((file) => file.skipped).length,
  };
}
