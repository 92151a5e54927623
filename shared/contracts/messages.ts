/**
 * Every message of the pipeline. The JSON is flat. The first keys of the two phase messages are those of the original
 * Python services. Those services send no other keys, so all others must be optional on receipt.
 *
 * @module
 */
import { z } from "zod";
import { runIdOfFile } from "./ids.ts";
import { DEFAULT_PIPELINE, PipelineName, pipelineOfFile } from "./names.ts";
import { PHASES, type RunStatus } from "./phases.ts";

/** ISO 8601 in UTC with milliseconds and `Z`, such as `2026-11-24T03:00:07.123Z`. */
export const Timestamp = z.iso.datetime({ precision: 3 });

/**
 * A run's id: a UUID (version 7 if the pipeline made it, version 8 if it was derived from a foreign message's file).
 */
export const RunId = z.uuid();

/** Lower-case hexadecimal SHA-256. */
export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, "wanted 64 hexadecimal digits");

/**
 * A file of the pipeline, relative to the working directory. A path that is absolute, contains `..` or a NUL is refused
 * here; on opening, the path is checked to be inside the data directory.
 */
export const DataPath = z.string().min(1).max(1024).refine(
  (path) =>
    !path.startsWith("/") && !path.includes("\0") && !path.includes("\\") && !path.split("/").includes(".."),
  "wanted a relative path that stays inside the data directory",
);

const Count = z.int().nonnegative();

/**
 * The envelope of the pipeline's own messages. Foreign messages lack it: their `id` and `published_at` then come from
 * the channel.
 */
export const Envelope = z.object({
  /** Unique on its channel; an output's id derives from its input's, so that a repeat publishes the same one. */
  id: z.string().min(1).max(512).optional(),
  /** Version of the message's shape. */
  version: z.literal(1).optional(),
  /** When it was published; never earlier than the message that caused it. */
  published_at: Timestamp.optional(),
  /** W3C Trace Context of the run. */
  traceparent: z.string().max(128).optional(),
  /** The pipeline that the message is about. */
  pipeline: PipelineName.optional(),
});

/** One correction of an invalid record: a line of the dead-letter file, and what to change. */
export const Patch = z.object({
  /** Line of the dead-letter file, from 1. */
  line: z.int().positive(),
  /** JSON Merge Patch (RFC 7396) for a record that is a JSON object. */
  merge: z.record(z.string(), z.json()).optional(),
  /** The complete new text, for a line that isn't a JSON object. */
  text: z.string().max(1_000_000).optional(),
}).refine(
  (patch) => patch.merge === undefined || patch.text === undefined,
  "wanted `merge` or `text`, not both",
);
/** One correction of an invalid record. */
export type Patch = z.output<typeof Patch>;

/** A correction run takes its records from an earlier run's dead letters instead of the source. */
export const Correction = z.object({
  /** The run whose records are corrected. */
  of: RunId,
  /** Its dead-letter file. */
  dlq_file: DataPath,
  /** SHA-256 of that file, to ensure that line numbers mean the same lines. */
  dlq_sha256: Sha256.optional(),
  /** At least one patch, each line at most once. */
  patches: z.array(Patch).min(1).max(10_000)
    .refine((all) => new Set(all.map((p) => p.line)).size === all.length, "wanted each line at most once"),
});
/** The request for a correction run. */
export type Correction = z.output<typeof Correction>;

/** A time or a number by which a source marks changes, as the source writes it. */
export const Moment = z.union([z.string().max(200), z.number()]);
/** A time or a number, as the source writes it. */
export type Moment = z.output<typeof Moment>;

/** `channel:start_run`: a request for a run. */
export const StartRun = Envelope.extend({
  run_id: RunId,
  /** Who requested it: `api`, `cli`, `schedule`, or a name given by a user. */
  requested_by: z.string().min(1).max(200),
  /** Present in a correction run. */
  correction: Correction.optional(),
  /** Rewinds the pipeline: requests changes since then again, loaded or not. */
  since: Moment.optional(),
}).transform((message) => ({ ...message, pipeline: message.pipeline ?? DEFAULT_PIPELINE }));
/** A request for a run. */
export type StartRun = z.output<typeof StartRun>;

/** The range of changes that a run with `since` requested. */
export const SinceRange = z.object({
  /** It requested changes since this moment. */
  from: Moment,
  /** The greatest value of its records; absent if there is none. */
  to: Moment.optional(),
  /** The field and the source of these values; they are meaningless for another one. */
  of: z.string().max(4096),
  /**
   * How often the pipeline had been rewound when the run began: a run that began before a rewind doesn't move the
   * cursor.
   */
  rewinds: Count,
});
/** The range of changes that a run with `since` requested. */
export type SinceRange = z.output<typeof SinceRange>;

/** How many of the announced records were received in a run. */
export const Completeness = z.object({
  /** The greatest total that the source announced; null if it announced none. */
  announced: Count.nullable(),
  /** Including repeated records. */
  received: Count,
  /** Announced records that were never received. */
  missing: Count,
  /** Records that were received again. */
  repeated: Count,
});
/** How many of the announced records were received in a run. */
export type Completeness = z.output<typeof Completeness>;

const CorrectionLink = {
  /** In a correction run: the run whose dead letters are corrected. */
  correction_of: RunId.optional(),
  /** In a correction run: line n of the raw file corrects line `corrects[n - 1]` of that run's dead-letter file. */
  corrects: z.array(z.int().positive()).max(10_000).optional(),
};

/** Run and pipeline of a message about a raw file, if the sender gave none. */
function known<M extends { raw_file: string; run_id?: string | undefined; pipeline?: string | undefined }>(
  message: M,
): M & { run_id: string; pipeline: string } {
  const { raw_file, run_id = runIdOfFile(raw_file), pipeline = pipelineOfFile(raw_file) } = message;
  return { ...message, run_id, pipeline };
}

/** `channel:phase1_complete`: a raw file is complete. `raw_file` alone is sufficient. */
export const Phase1Complete = Envelope.extend({
  raw_file: DataPath,
  run_id: RunId.optional(),
  record_count: Count.optional(),
  raw_sha256: Sha256.optional(),
  /** Where the records came from: the URL, or `dlq:<run_id>` in a correction run. */
  source: z.string().max(2048).optional(),
  /** The range of changes that was requested; absent if everything was. */
  since: SinceRange.optional(),
  completeness: Completeness.optional(),
  ...CorrectionLink,
}).transform(known);
/** A complete raw file. `run_id` and `pipeline` are derived from `raw_file` if the sender gave none. */
export type Phase1Complete = z.output<typeof Phase1Complete>;

/** How often a rule failed in a run, by the field and kind of problem, such as `age: greater than 65`. */
export const ReasonCount = z.object({ reason: z.string(), count: Count });
/** How many records of a run had a value that the lookup lacks. */
export const LookupGap = z.object({ department: z.string(), count: Count });

/** The JSON types of the values that a top-level field had in a run's records. */
export const FieldTypes = z.object({
  field: z.string(),
  types: z.array(z.enum(["string", "number", "boolean", "object", "array", "null"])),
});
/** The JSON types of a field's values. */
export type FieldTypes = z.output<typeof FieldTypes>;

/**
 * `channel:phase2_complete`: the processed and the dead-letter file are complete. The first five keys are sufficient.
 */
export const Phase2Complete = Envelope.extend({
  raw_file: DataPath,
  processed_file: DataPath,
  dlq_file: DataPath,
  valid_count: Count,
  invalid_count: Count,
  run_id: RunId.optional(),
  raw_sha256: Sha256.optional(),
  processed_sha256: Sha256.optional(),
  dlq_sha256: Sha256.optional(),
  source: z.string().max(2048).optional(),
  since: SinceRange.optional(),
  completeness: Completeness.optional(),
  ...CorrectionLink,
  /** SHA-256 of the lookup file that was used. */
  lookup_sha256: Sha256.optional(),
  /** Identifies the validation rules that were used. */
  rules_sha256: Sha256.optional(),
  /** Top-level keys of the records, in order of appearance, so that views can show a new field. At most 500. */
  fields: z.array(z.string()).max(500).optional(),
}).transform(known);
/** Complete processed and dead-letter files. */
export type Phase2Complete = z.output<typeof Phase2Complete>;

/**
 * `channel:deliver`: an order to deliver the files of a loaded run to the SFTP server. The database has all other facts
 * about the run.
 */
export const Deliver = Envelope.extend({
  run_id: RunId,
  requested_by: z.string().min(1).max(200).optional(),
});
/** An order to deliver. */
export type Deliver = z.output<typeof Deliver>;

/** Decisions on a held run. */
export const DECISIONS = ["released", "rejected"] as const;
/** A decision on a held run. */
export type Decision = (typeof DECISIONS)[number];

/** `channel:decision`: a person's decision on a held run. Only the first one counts. */
export const Decide = Envelope.extend({
  run_id: RunId,
  decision: z.enum(DECISIONS),
  requested_by: z.string().min(1).max(200),
});
/** A decision on a held run. */
export type Decide = z.output<typeof Decide>;

/**
 * `channel:run_outcome`: what the extractor must know about its runs. It describes a state, so it may be repeated at
 * any time.
 */
export const RunOutcome = Envelope.extend({
  run_id: RunId,
  pipeline: PipelineName,
  /** `held`: later runs of the pipeline wait; `released` and `rejected`: they no longer do; `loaded`: its records are in the database. */
  outcome: z.enum(["held", ...DECISIONS, "loaded"]),
  /** The range of a loaded run that had a `since`. */
  since: SinceRange.optional(),
  /** The files of a rejected run; a file is removed if it still has this checksum. */
  rejected: z.array(z.object({ name: DataPath, sha256: Sha256 })).max(3).optional(),
});
/** How often the saver repeats the outcomes, in milliseconds. That a run is held isn't believed for long without it. */
export const OUTCOMES_EVERY_MS = 600_000;
/** The outcome of a run. */
export type RunOutcome = z.output<typeof RunOutcome>;

export { isFinal, type Phase, PHASES, RUN_STATUSES, type RunStatus } from "./phases.ts";

const EventBase = Envelope.extend({
  id: z.string().min(1).max(512),
  published_at: Timestamp,
  run_id: RunId,
  /** The actor (or `api`, `cli`, `schedule`) that reports it. */
  actor: z.string().max(100),
  /** The instance of the actor. */
  instance: z.string().max(200).optional(),
});

/** An actor's findings in a phase; open, so that each phase can report its own. Never contains a record's content. */
export const Detail = z.record(z.string(), z.json());
/** An actor's findings in a phase. */
export type Detail = z.output<typeof Detail>;

/**
 * `channel:run_events`: the events of a run. All phases use the same types; the run's status is computed from them
 * (`statusAfter`).
 */
export const RunEvent = z.discriminatedUnion("type", [
  EventBase.extend({
    type: z.literal("run_requested"),
    requested_by: z.string().max(200),
    correction_of: RunId.optional(),
  }),
  EventBase.extend({ type: z.literal("phase_started"), phase: z.enum(PHASES), attempt: z.int().positive() }),
  EventBase.extend({
    type: z.literal("phase_retrying"),
    phase: z.enum(PHASES),
    attempt: z.int().positive(),
    reason: z.string(),
    retry_after_ms: z.int().nonnegative(),
  }),
  EventBase.extend({ type: z.literal("phase_completed"), phase: z.enum(PHASES), detail: Detail }),
  EventBase.extend({
    type: z.literal("run_failed"),
    phase: z.enum(PHASES),
    reason: z.string(),
    /** Whether a new request can succeed without a change. */
    retryable: z.boolean(),
    /** Whether a person ended the run. */
    cancelled: z.literal(true).optional(),
  }),
  /** The request resumed an unfinished run instead of starting a new one. */
  EventBase.extend({ type: z.literal("run_superseded"), by: RunId, reason: z.string() }),
  EventBase.extend({ type: z.literal("run_cancelled"), requested_by: z.string().max(200) }),
  /** The run waits for a person before its load: its numbers exceed the limits of its definition. */
  EventBase.extend({
    type: z.literal("run_held"),
    phase: z.enum(PHASES),
    reason: z.string(),
    detail: Detail,
  }),
  EventBase.extend({ type: z.literal("run_released"), requested_by: z.string().max(200) }),
  EventBase.extend({ type: z.literal("run_rejected"), requested_by: z.string().max(200) }),
]);
/** An event of a run. */
export type RunEvent = z.output<typeof RunEvent>;

/**
 * The status of a run after `event`. A delivery between two tries is `DELIVERY_PENDING`; the other phases keep their
 * name.
 */
export function statusAfter(event: RunEvent): RunStatus {
  switch (event.type) {
    case "run_requested":
      return "REQUESTED";
    case "phase_started":
      return event.phase;
    case "phase_retrying":
      return event.phase === "DELIVERING" ? "DELIVERY_PENDING" : event.phase;
    case "phase_completed":
      return event.phase === "DELIVERING" ? "COMPLETED" : event.phase;
    case "run_held":
      return "HELD";
    case "run_released":
      return "LOADING";
    case "run_failed":
    case "run_superseded":
    case "run_cancelled":
    case "run_rejected":
      return "FAILED";
  }
}
