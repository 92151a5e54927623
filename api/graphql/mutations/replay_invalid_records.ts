import { correctedRecord } from "../../../shared/pipeline/merge_patch.ts";
import type { Correction, Patch } from "../../../shared/contracts/messages.ts";
import { parseExact } from "../../../shared/pipeline/exact_json.ts";
import { isObject } from "../../../shared/pipeline/problems.ts";
import { maskRecord } from "../../../shared/store/mask.ts";
import { builder } from "../builder.ts";
import type { Context } from "../context.ts";
import { runById } from "../run.ts";
import {
  InvalidPatch,
  type Problem,
  problem,
  resultType,
  RunAlreadyActive,
  RunNotFound,
  runNotFound,
  RunNotLoaded,
} from "./result.ts";
import { start, type Started, startedRun } from "./start_run.ts";
import { type FileRow, LINES_PER_FILE } from "../../../shared/store/rows.ts";

interface PatchInput {
  recordId: string | number;
  patch?: unknown;
  text?: string | null | undefined;
}

interface RecordVerdict {
  readonly recordId: number;
  readonly valid: boolean;
  readonly problems: readonly string[];
  readonly record: unknown;
}

const Verdict = builder.objectRef<RecordVerdict>("RecordVerdict").implement({
  description: "What the rules say of a corrected record.",
  fields: (t) => ({
    recordId: t.exposeID("recordId"),
    valid: t.exposeBoolean("valid"),
    problems: t.exposeStringList("problems", { description: "All of them; none when it is valid." }),
    record: t.expose("record", {
      type: "JSON",
      nullable: true,
      description: "The corrected record, masked; null when it is no JSON.",
    }),
  }),
});

const DryRun = builder.objectRef<{ __typename: "ReplayDryRun"; verdicts: RecordVerdict[] }>("ReplayDryRun")
  .implement({
    description: "What a replay would do; nothing was changed.",
    fields: (t) => ({ verdicts: t.expose("verdicts", { type: [Verdict] }) }),
  });

const Success = builder.objectRef<
  Started & { __typename: "ReplayInvalidRecordsSuccess"; verdicts: RecordVerdict[]; of: string }
>("ReplayInvalidRecordsSuccess").implement({
  description: "The correction run that was requested.",
  fields: (t) => ({
    runId: t.exposeID("runId"),
    run: t.field(startedRun),
    correctionOf: t.field(runById(({ of }) => of)),
    verdicts: t.expose("verdicts", { type: [Verdict] }),
  }),
});

const Result = resultType(
  "replayInvalidRecords",
  Success,
  DryRun,
  InvalidPatch,
  RunNotFound,
  RunNotLoaded,
  RunAlreadyActive,
);

const RecordPatch = builder.inputType("RecordPatch", {
  description:
    "A correction of one invalid record. Without `patch` and `text` the record is replayed as it is.",
  fields: (t) => ({
    recordId: t.id({ required: true, description: "`InvalidRecord.id`." }),
    patch: t.field({
      type: "JSON",
      description: "JSON Merge Patch (RFC 7396); fields that read as `***` are left out.",
    }),
    text: t.string({ description: "The whole new text, for a line that was no JSON object." }),
  }),
});

const ReplayInput = builder.inputType("ReplayInvalidRecordsInput", {
  fields: (t) => ({
    runId: t.id({ required: true, description: "The run whose records are corrected." }),
    patches: t.field({ type: [RecordPatch], required: true }),
    dryRun: t.boolean({ description: "Only judge the corrections, and change nothing." }),
    requestedBy: t.string({ description: "Who asks; default `api`." }),
  }),
});

builder.mutationField("replayInvalidRecords", (t) =>
  t.field({
    type: Result,
    description:
      "Corrects invalid records of a run and sends them through the three phases again, as a run of their own.",
    args: { input: t.arg({ type: ReplayInput, required: true }) },
    resolve: (_root, { input }, context) => replay(input, context),
  }));

async function replay(
  input: {
    runId: string;
    patches: PatchInput[];
    dryRun?: boolean | null | undefined;
    requestedBy?: string | null | undefined;
  },
  context: Context,
) {
  const run = await context.store?.runs.byRunId(input.runId);
  if (run === undefined) return runNotFound(input.runId);
  const file = (await context.loaders.files.load(run.run_id)).find(({ kind }) => kind === "invalid");
  if (file === undefined) {
    return problem(
      "RunNotLoaded",
      `Run ${run.run_id} is ${run.status}, its dead letters aren't loaded. Wait until they are.`,
    );
  }
  const read = await corrections(input.patches, file, context);
  if ("__typename" in read) return read;
  const { patches, verdicts } = read;
  if (input.dryRun) return { __typename: "ReplayDryRun" as const, verdicts };
  const correction: Correction = { of: run.run_id, dlq_file: file.name, dlq_sha256: file.sha256, patches };
  const requestedBy = input.requestedBy?.slice(0, 200) || "api";
  const started = await start(context, "replayInvalidRecords", {
    requestedBy,
    correction,
    pipeline: run.pipeline,
  });
  if (started.__typename !== "StartRunSuccess") return started;
  return { ...started, __typename: "ReplayInvalidRecordsSuccess" as const, verdicts, of: run.run_id };
}

/** Validates each correction against its record; the first invalid one is the answer. */
async function corrections(
  wanted: readonly PatchInput[],
  file: FileRow,
  { store, ports }: Context,
): Promise<
  { patches: Patch[]; verdicts: RecordVerdict[] } | (Problem<"InvalidPatch"> & { path: string })
> {
  const invalid = (path: string, message: string) => ({ ...problem("InvalidPatch", message), path });
  if (wanted.length === 0 || wanted.length > MOST_PATCHES) {
    return invalid("patches", `Cannot correct ${wanted.length} records, wanted 1 to ${MOST_PATCHES}.`);
  }
  const plan = ports.pipelines.plans.get(file.pipeline);
  if (plan === undefined) {
    return invalid(
      "runId",
      `Cannot correct records of ${
        JSON.stringify(file.pipeline)
      }: its definition can't be used or was removed. Put it back first.`,
    );
  }
  const ids = wanted.map(({ recordId }) => Number(recordId));
  const letters = await store!.records.unmaskedTexts(
    `invalid_${file.pipeline}`,
    ids.filter(Number.isSafeInteger),
  );
  const masks = (await store!.records.pipelines()).get(file.pipeline)!.masks;
  const patches: Patch[] = [];
  const verdicts: RecordVerdict[] = [];
  for (const [at, { recordId, patch, text }] of wanted.entries()) {
    const refused = (key: string, message: string) => invalid(`patches.${at}${key}`, message);
    const id = ids[at]!;
    const letter = Math.floor(id / LINES_PER_FILE) === file.id ? letters.get(id) : undefined;
    if (letter === undefined) {
      return refused(
        ".recordId",
        `Record ${JSON.stringify(String(recordId))} is none of the run's invalid records.`,
      );
    }
    if (ids.indexOf(id) !== at) {
      return refused(".recordId", `Record ${id} is corrected twice. Give one correction for each.`);
    }
    if (patch != null && text != null) {
      return refused("", "Cannot use both patch and text. Give one of them.");
    }
    if (patch != null && !isObject(patch)) {
      return refused(".patch", "Cannot use a patch that is no JSON object. Give the fields to change.");
    }
    const correction = {
      line: id % LINES_PER_FILE,
      ...(isObject(patch) ? { merge: patch as Patch["merge"] } : {}),
      ...(text == null ? {} : { text }),
    };
    const corrected = correctedRecord(letter, correction);
    if ("problem" in corrected) {
      return refused(text == null ? ".patch" : ".text", `Cannot correct record ${id}: ${corrected.problem}.`);
    }
    patches.push(correction);
    verdicts.push(verdictOf(id, corrected.line));
  }
  return { patches, verdicts };

  function verdictOf(recordId: number, line: string): RecordVerdict {
    const verdict = plan!.judgeLine(line);
    const quotes = masks.invalid.get("error_reason") !== "whole";
    return {
      recordId,
      valid: verdict.valid,
      problems: verdict.valid ? [] : verdict.problems.map(({ message, reason }) => quotes ? message : reason),
      record: "record" in verdict ? maskRecord(parseExact(line), masks.raw) : null,
    };
  }
}

const MOST_PATCHES = 1000;
