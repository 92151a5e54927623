/**
 * The saver: loads the three files of a run.
 *
 * @module
 */
import { stamp } from "../shared/contracts/ids.ts";
import type { Phase2Complete } from "../shared/contracts/messages.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import type { Files } from "../shared/jsonl/files.ts";
import { alreadyLoaded, type LoadedFile, loadFile, type LoadOptions } from "../shared/store/load.ts";
import type { Store } from "../shared/store/open.ts";
import { announceRun, markLoaded } from "../shared/store/run_writes.ts";
import type { FileKind } from "../shared/store/runs.ts";

/** What the saver works with. */
export interface LoadPorts extends LoadOptions {
  /** The database. */
  readonly store: Store;
  /** The data directory. */
  readonly files: Pick<Files, "facts" | "lines">;
}

/** What a load tells of itself: the records of all files and of each, and how many files an earlier try had loaded. */
export type LoadDetail = Record<"records" | FileKind | "skipped", number>;

/**
 * Loads a run: its row, then each file, then the note that all are there, each in a transaction of its own, so that a repeat goes on at
 * the file that is missing.
 *
 * @throws PermanentError when a file is missing, isn't the one that was announced, or doesn't hold as many records as announced.
 * @throws TransientError when the database is locked, or the disk is full or fails.
 */
export async function loadRun(message: Phase2Complete, ports: LoadPorts): Promise<LoadDetail> {
  const { store } = ports;
  const run = {
    runId: message.run_id,
    at: message.published_at ?? stamp(),
    source: message.source,
    correctionOf: message.correction_of,
  };
  await announceRun(store, run);
  const raw = await load(
    message.run_id,
    { kind: "raw", name: message.raw_file, sha256: message.raw_sha256 },
    ports,
  );
  const processed = await load(message.run_id, {
    kind: "processed",
    name: message.processed_file,
    sha256: message.processed_sha256,
    records: message.valid_count,
  }, ports);
  const invalid = await load(message.run_id, {
    kind: "invalid",
    name: message.dlq_file,
    sha256: message.dlq_sha256,
    records: message.invalid_count,
  }, ports);
  await markLoaded(store, {
    ...run,
    rawFile: message.raw_file,
    processedFile: message.processed_file,
    dlqFile: message.dlq_file,
    validCount: message.valid_count,
    invalidCount: message.invalid_count,
    corrects: message.corrects,
    fields: message.fields,
  });
  await store.checkpoint();
  return {
    records: raw.records + processed.records + invalid.records,
    raw: raw.records,
    processed: processed.records,
    invalid: invalid.records,
    skipped: [raw, processed, invalid].filter((file) => file.skipped).length,
  };
}

interface Announced {
  readonly kind: FileKind;
  readonly name: string;
  readonly sha256: string | undefined;
  readonly records?: number;
}

async function load(
  runId: string,
  file: Announced,
  { store, files, ...options }: LoadPorts,
): Promise<LoadedFile> {
  const known = store.runs.filesOf([runId]).get(runId)?.find((loaded) => loaded.kind === file.kind);
  // needs no file: it may have been archived since
  if (known !== undefined && file.sha256 !== undefined) {
    return alreadyLoaded(known, { ...file, sha256: file.sha256 });
  }
  const facts = await files.facts(file.name, options.signal);
  if (file.sha256 !== undefined && file.sha256 !== facts.sha256) {
    throw new PermanentError(
      `Cannot load ${file.name}: its SHA-256 is ${facts.sha256}, but ${file.sha256} was announced. Nothing of it was loaded. ` +
        `Put the announced file back and replay the dead letter, or start a new run.`,
    );
  }
  const lines = () => files.lines(file.name, { sha256: facts.sha256, signal: options.signal });
  return await loadFile(store, { ...facts, runId, kind: file.kind, records: file.records }, lines, options);
}
