import { DEFAULT_PIPELINE } from "../../shared/contracts/names.ts";
import {
  type Completeness,
  PHASES,
  RUN_STATUSES,
  type RunEvent,
  SinceRange,
} from "../../shared/contracts/messages.ts";
import {
  type Gap,
  lookupGapsOf,
  phasesOf,
  type PhaseTime,
  type Reason,
  reasonsOf,
} from "../../shared/store/timeline.ts";
import { builder } from "./builder.ts";
import type { Context } from "./context.ts";
import {
  completenessOf,
  type DeliveryRow,
  type FileRow,
  type HoldRow,
  type RunRow,
} from "../../shared/store/rows.ts";

export const RunStatusEnum = builder.enumType("RunStatus", {
  values: RUN_STATUSES,
  description: "The status of a run.",
});

const PhaseEnum = builder.enumType("Phase", { values: PHASES, description: "A phase of a run." });

const FileKindEnum = builder.enumType("FileKind", {
  values: ["raw", "processed", "invalid", "manifest"] as const,
  description: "Which of a run's files.",
});

const DeliveryStateEnum = builder.enumType("DeliveryState", {
  values: ["PENDING", "DELIVERED", "NOT_CONFIGURED", "FAILED"] as const,
  description: "The state of a delivery.",
});

const PhaseTimes = builder.objectRef<PhaseTime>("PhaseTiming").implement({
  description: "Timing and results of a phase of a run.",
  fields: (t) => ({
    phase: t.expose("phase", { type: PhaseEnum }),
    startedAt: t.expose("startedAt", { type: "DateTime" }),
    finishedAt: t.expose("finishedAt", { type: "DateTime", nullable: true }),
    durationMs: t.expose("durationMs", { type: "Long", nullable: true }),
    attempts: t.exposeInt("attempts"),
    records: t.expose("records", { type: "Long", nullable: true }),
    recordsPerSecond: t.exposeFloat("recordsPerSecond", { nullable: true }),
  }),
});

const ReasonType = builder.objectRef<Reason>("InvalidReason").implement({
  description: "How often a rule failed.",
  fields: (t) => ({ reason: t.exposeString("reason"), count: t.exposeInt("count") }),
});

const GapType = builder.objectRef<Gap>("LookupGap").implement({
  description: "How many records had a value that the lookup doesn't have.",
  fields: (t) => ({ department: t.exposeString("department"), count: t.exposeInt("count") }),
});

const FileType = builder.objectRef<FileRow>("RunFile").implement({
  description: "A loaded file.",
  fields: (t) => ({
    kind: t.expose("kind", { type: FileKindEnum }),
    name: t.exposeString("name"),
    sha256: t.exposeString("sha256"),
    bytes: t.expose("bytes", { type: "Long" }),
    records: t.expose("records", { type: "Long" }),
    loadedAt: t.expose("loaded_at", { type: "DateTime" }),
  }),
});

export const DeliveredFile = builder.objectRef<DeliveryRow>("DeliveredFile").implement({
  description: "A file on the SFTP server, as it was found there.",
  fields: (t) => ({
    kind: t.expose("kind", { type: FileKindEnum }),
    name: t.exposeString("name"),
    remotePath: t.exposeString("remote_path"),
    sha256: t.exposeString("sha256", { description: "Of the local file, before encryption." }),
    bytes: t.expose("bytes", { type: "Long", description: "Length as delivered." }),
    verified: t.exposeString("verified", {
      description: "`content`: read back; `size`: its size was compared.",
    }),
    encrypted: t.boolean({ resolve: (file) => file.encrypted === 1 }),
    deliveredAt: t.expose("delivered_at", { type: "DateTime" }),
    runId: t.exposeID("run_id"),
    run: t.field(runById(({ run_id }) => run_id)),
  }),
});

const Delivery = builder.objectRef<RunRow>("Delivery").implement({
  description: "The delivery of a run's files to the SFTP server.",
  fields: (t) => ({
    state: t.field({ type: DeliveryStateEnum, resolve: (run) => run.delivery_state! }),
    deliveredAt: t.expose("delivered_at", { type: "DateTime", nullable: true }),
    error: t.exposeString("delivery_error", { nullable: true, description: "The last error." }),
    files: t.field({
      type: [DeliveredFile],
      resolve: (run, _args, { loaders }) => loaders.deliveries.load(run.run_id),
    }),
  }),
});

const Failure = builder.objectRef<RunRow>("RunFailure").implement({
  description: "Why a run failed.",
  fields: (t) => ({
    phase: t.expose("failure_phase", { type: PhaseEnum, nullable: true }),
    reason: t.string({ resolve: (run) => run.failure_reason ?? "unknown" }),
    retryable: t.boolean({
      description: "Whether a new run may succeed without any change.",
      resolve: (run) => run.failure_retryable === 1,
    }),
  }),
});

const DecisionEnum = builder.enumType("HoldDecision", {
  description: "The decision on a held run.",
  values: {
    RELEASED: { value: "released", description: "It was loaded as it was held." },
    REJECTED: { value: "rejected", description: "Nothing of it was loaded." },
  } as const,
});

const HoldType = builder.objectRef<HoldRow>("RunHold").implement({
  description: "Why a run was held before its load, and what was decided.",
  fields: (t) => ({
    reason: t.exposeString("reason", { description: "The limits that it exceeds, in numbers." }),
    heldAt: t.expose("held_at", { type: "DateTime" }),
    validCount: t.int({ resolve: (hold) => announcedOf(hold).valid_count }),
    invalidCount: t.int({ resolve: (hold) => announcedOf(hold).invalid_count }),
    comparedWith: t.field(
      runById(({ compared_with }) => compared_with, "The run that was loaded last when it was held."),
    ),
    samples: t.field({
      type: ["JSON"],
      description: "Some of its invalid records, masked; none once it is decided.",
      resolve: async ({ run_id }, _args, { store }) => await store?.holds.samples(run_id) ?? [],
    }),
    decision: t.expose("decision", {
      type: DecisionEnum,
      nullable: true,
      description: "Null while nobody has decided.",
    }),
    decidedBy: t.exposeString("decided_by", { nullable: true }),
    decidedAt: t.expose("decided_at", { type: "DateTime", nullable: true }),
  }),
});

function announcedOf({ message }: HoldRow): { valid_count: number; invalid_count: number } {
  return JSON.parse(message);
}

const SinceType = builder.objectRef<SinceRange>("SinceRange").implement({
  description: "The range of changes that a run requested; times and numbers as the source writes them.",
  fields: (t) => ({
    from: t.string({
      description: "It requested changes since then.",
      resolve: ({ from }) => `${from}`,
    }),
    to: t.string({
      nullable: true,
      description: "The greatest value that it holds; null where it has no records.",
      resolve: ({ to }) => to === undefined ? null : `${to}`,
    }),
  }),
});

const CompletenessType = builder.objectRef<Completeness>("Completeness").implement({
  description: "How many of the records that a run's source announced arrived.",
  fields: (t) => ({
    announced: t.expose("announced", {
      type: "Long",
      nullable: true,
      description: "The greatest total that the source announced; null where it announced none.",
    }),
    received: t.expose("received", {
      type: "Long",
      description: "Records received, repeated ones included.",
    }),
    missing: t.expose("missing", {
      type: "Long",
      description: "Announced records that never arrived.",
    }),
    repeated: t.expose("repeated", {
      type: "Long",
      description: "Received records that had arrived before.",
    }),
  }),
});

export const RunEventType = builder.objectRef<RunEvent>("RunEvent").implement({
  description: "Something that happened to a run.",
  fields: (t) => ({
    id: t.exposeID("id"),
    runId: t.exposeID("run_id"),
    at: t.expose("published_at", { type: "DateTime" }),
    pipeline: t.string({ resolve: (event) => event.pipeline ?? DEFAULT_PIPELINE }),
    actor: t.exposeString("actor"),
    instance: t.exposeString("instance", { nullable: true }),
    type: t.exposeString("type", {
      description:
        "run_requested, phase_started, phase_retrying, phase_completed, run_failed, run_superseded, run_cancelled, run_held, " +
        "run_released or run_rejected.",
    }),
    phase: t.field({
      type: PhaseEnum,
      nullable: true,
      resolve: (event) => "phase" in event ? event.phase : null,
    }),
    attempt: t.int({ nullable: true, resolve: (event) => "attempt" in event ? event.attempt : null }),
    reason: t.string({ nullable: true, resolve: (event) => "reason" in event ? event.reason : null }),
    detail: t.field({
      type: "JSON",
      nullable: true,
      description: "The results of a phase.",
      resolve: (event) => "detail" in event ? event.detail : null,
    }),
    requestedBy: t.string({
      nullable: true,
      description: "Who requested the run, cancelled it, or decided on it.",
      resolve: (event) => "requested_by" in event ? event.requested_by : null,
    }),
    run: t.field(runById(({ run_id }) => run_id)),
  }),
});

export const EtlRun = builder.objectRef<RunRow>("EtlRun");

/** A field that returns the run with an id. */
export function runById<Row>(idOf: (row: Row) => string | null, description?: string) {
  return {
    type: EtlRun,
    nullable: true as const,
    ...description === undefined ? {} : { description },
    resolve: (row: Row, _args: object, { loaders }: Context) => {
      const id = idOf(row);
      return id === null ? null : loaders.run.load(id);
    },
  };
}

EtlRun.implement({
  description: "One pass of records through the three phases.",
  fields: (t) => ({
    id: t.exposeID("id", { description: "Number in order of arrival." }),
    runId: t.exposeID("run_id", { description: "The run's id in messages and files." }),
    pipeline: t.exposeString("pipeline"),
    runTimestamp: t.expose("run_timestamp", { type: "DateTime", description: "When it was requested." }),
    rawFile: t.exposeString("raw_file", { nullable: true }),
    processedFile: t.exposeString("processed_file", { nullable: true }),
    dlqFile: t.exposeString("dlq_file", { nullable: true }),
    validCount: t.exposeInt("valid_count", {
      nullable: true,
      description: "Null until the load, as `invalidCount`.",
    }),
    invalidCount: t.exposeInt("invalid_count", { nullable: true }),
    status: t.expose("status", { type: RunStatusEnum }),
    statusAt: t.expose("status_at", { type: "DateTime", description: "When it entered this status." }),
    source: t.exposeString("source", { nullable: true }),
    requestedBy: t.exposeString("requested_by", { nullable: true }),
    startedAt: t.expose("started_at", { type: "DateTime", nullable: true }),
    loadedAt: t.expose("loaded_at", { type: "DateTime", nullable: true }),
    finishedAt: t.expose("finished_at", { type: "DateTime", nullable: true }),
    durationMs: t.field({
      type: "Long",
      nullable: true,
      description: "From the first phase's start to the end.",
      resolve: (run) =>
        run.started_at === null || run.finished_at === null
          ? null
          : Date.parse(run.finished_at) - Date.parse(run.started_at),
    }),
    phases: t.field({
      type: [PhaseTimes],
      description: "Phases that were started.",
      resolve: async (run, _args, { loaders }) => phasesOf(await loaders.events.load(run.run_id)),
    }),
    reasons: t.field({
      type: [ReasonType],
      description: "Why records were invalid.",
      resolve: async (run, _args, { loaders }) => reasonsOf(await loaders.events.load(run.run_id)),
    }),
    lookupGaps: t.field({
      type: [GapType],
      description: "Departments that the lookup lacked.",
      resolve: async (run, _args, { loaders }) => lookupGapsOf(await loaders.events.load(run.run_id)),
    }),
    files: t.field({
      type: [FileType],
      resolve: (run, _args, { loaders }) => loaders.files.load(run.run_id),
    }),
    delivery: t.field({
      type: Delivery,
      nullable: true,
      description: "Null until the delivery begins.",
      resolve: (run) => run.delivery_state === null ? null : run,
    }),
    hold: t.field({
      type: HoldType,
      nullable: true,
      description: "Null unless it is or was held before its load.",
      resolve: (run, _args, { loaders }) => loaders.hold.load(run.run_id),
    }),
    since: t.field({
      type: SinceType,
      nullable: true,
      description: "The changes that it requested; null if it requested everything.",
      resolve: ({ since }) => since === null ? null : SinceRange.safeParse(JSON.parse(since)).data,
    }),
    completeness: t.field({
      type: CompletenessType,
      nullable: true,
      description: "Null until it is extracted.",
      resolve: (run) => completenessOf(run),
    }),
    failure: t.field({
      type: Failure,
      nullable: true,
      description: "Null unless it failed.",
      resolve: (run) => run.status === "FAILED" ? run : null,
    }),
    correctionOf: t.field(
      runById(
        ({ correction_of }) => correction_of,
        "In a correction run: the run whose dead letters it corrects.",
      ),
    ),
    corrections: t.field({
      type: [EtlRun],
      description: "Runs that correct this one, newest first.",
      resolve: (run, _args, { loaders }) => loaders.corrections.load(run.run_id),
    }),
    supersededBy: t.field(
      runById(({ superseded_by }) => superseded_by, "The run that was resumed in its place."),
    ),
    events: t.field({
      type: [RunEventType],
      description: "Its events, oldest first.",
      resolve: (run, _args, { loaders }) => loaders.events.load(run.run_id),
    }),
  }),
});
