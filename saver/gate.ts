import { createHash } from "node:crypto";
import type { Fields } from "../shared/actor/message.ts";
import type { FileKind } from "../shared/contracts/names.ts";
import type { Phase2Complete } from "../shared/contracts/messages.ts";
import type { Files } from "../shared/files/files.ts";
import type { AnyPipeline } from "../shared/pipeline/plan.ts";
import type { RunRow } from "../shared/store/rows.ts";
import type { Store } from "../shared/store/store.ts";

/** Shares from 0 to 1; undefined if there is no limit. */
export interface Limits {
  /** The maximum share of invalid records. */
  readonly invalid: number | undefined;
  /** The minimum number of valid records, as a share of those of the previous run. */
  readonly shrink: number | undefined;
}

/** The default limit for a run that replaces all records. */
const SNAPSHOT_SHRINK = "50%";

/**
 * The limits of a definition. A run that may cover only a part of the source (`isWhole` is false) replaces nothing, so
 * it may have few records.
 */
export function limitsOf({ hold = {}, load }: Pick<AnyPipeline, "hold" | "load">, isWhole: boolean): Limits {
  const replaces = load === "snapshot" && isWhole;
  const { invalid, shrink = replaces ? SNAPSHOT_SHRINK : undefined } = hold;
  return { invalid: shareOf(invalid), shrink: shareOf(shrink) };
}

function shareOf(percent: string | undefined): number | undefined {
  return percent === undefined ? undefined : Number(`${percent.slice(0, -1)}e-2`);
}

type Counts = Pick<RunRow, "id" | "valid_count">;

/** The reason to hold a run, with its numbers; undefined if the run may be loaded. `before` is the last loaded run. */
export function reasonToHold(
  { valid_count: valid, invalid_count: invalid }: Pick<Phase2Complete, "valid_count" | "invalid_count">,
  limits: Limits,
  before: Counts | undefined,
): string | undefined {
  const reasons: string[] = [];
  const all = valid + invalid;
  // quotients, as 0.29 * 100 is less than 29
  if (limits.invalid !== undefined && invalid / all > limits.invalid) {
    reasons.push(
      `${invalid} of its ${all} records are invalid (${percent(invalid / all)}), more than ${
        percent(limits.invalid)
      }`,
    );
  }
  const had = before?.valid_count ?? 0;
  if (limits.shrink !== undefined && valid / had < limits.shrink) {
    reasons.push(
      `it has ${valid} valid records, fewer than ${percent(limits.shrink)} of the ${had} of run ${
        before!.id
      }`,
    );
  }
  return reasons.length === 0 ? undefined : `Held before its load: ${reasons.join("; ")}.`;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

/** Number of invalid records that are kept for the decision, and their maximum length in characters. */
const SAMPLES = 5;
const LONGEST_SAMPLE = 20_000;

/**
 * Holds a run if its numbers, without repeated dead letters, exceed the limits (else returns undefined). The hold records the checksums, so that a
 * release loads the same bytes. Nothing is stored when `refuse` throws; no event of the run is recorded while `refuse`
 * runs.
 */
export async function hold(
  message: Phase2Complete & { run_id: string },
  { store, files, limits, signal, refuse }: {
    store: Store;
    files: Files;
    limits: Limits;
    signal: AbortSignal;
    refuse: () => Promise<void>;
  },
): Promise<string | undefined> {
  const { run_id, pipeline } = message;
  const before = await store.runs.lastLoaded(pipeline, run_id);
  if (reasonToHold(message, limits, before) === undefined) return undefined;
  const { valid_count } = message;
  const invalid_count = message.invalid_count - await countRepeated(message, before?.dlq_file, files, signal);
  const reason = reasonToHold({ valid_count, invalid_count }, limits, before);
  if (reason === undefined) return undefined;
  const announced = JSON.stringify(await withHashes(message, files, signal));
  const samples = await firstLines(files, message.dlq_file, signal);
  const held = {
    run_id,
    pipeline,
    reason,
    message: announced,
    samples,
    compared_with: before?.run_id ?? null,
  };
  await store.hold(held, refuse);
  return reason;
}

/** The number of dead letters that are compared with those of the run before. */
const MOST_COMPARED = 100_000;

/**
 * How many of the run's dead letters the last loaded run, whose file is `earlier`, had too. A run with `since` gets the
 * records at its cursor again, and the decision on these was made with that run.
 */
async function countRepeated(
  { since, dlq_file }: Phase2Complete,
  earlier: string | null | undefined,
  files: Files,
  signal: AbortSignal,
): Promise<number> {
  if (since === undefined || earlier == null || !(await files.exists(earlier))) return 0;
  const digests = new Set<string>();
  for await (const { lines } of files.lines(dlq_file, { signal })) {
    for (const line of lines) if (digests.size < MOST_COMPARED) digests.add(digestOf(line));
  }
  const compared = digests.size;
  for await (const { lines } of files.lines(earlier, { signal })) {
    for (const line of lines) digests.delete(digestOf(line));
  }
  return compared - digests.size;
}

function digestOf(line: string): string {
  return createHash("sha256").update(line).digest("base64");
}

/** The fields of the message, with the SHA-256 of each file: a foreign program may have announced none. */
async function withHashes(
  message: Phase2Complete,
  files: Files,
  signal: AbortSignal,
): Promise<Fields<"channel:phase2_complete">> {
  const { id: _id, version: _version, published_at: _at, traceparent: _trace, ...fields } = message;
  const sha256 = async (kind: FileKind, name: string, announced: string | undefined) => ({
    [`${kind === "invalid" ? "dlq" : kind}_sha256`]: announced ?? (await files.facts(name, signal)).sha256,
  });
  return {
    ...fields,
    ...await sha256("raw", fields.raw_file, fields.raw_sha256),
    ...await sha256("processed", fields.processed_file, fields.processed_sha256),
    ...await sha256("invalid", fields.dlq_file, fields.dlq_sha256),
  };
}

async function firstLines(files: Files, name: string, signal: AbortSignal): Promise<string[]> {
  const found: string[] = [];
  for await (const { lines } of files.lines(name, { signal })) {
    for (const line of lines) {
      if (line.trim() !== "" && line.length <= LONGEST_SAMPLE) found.push(line);
      if (found.length === SAMPLES) return found;
    }
  }
  return found;
}
