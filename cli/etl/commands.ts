import { DEAD_LETTERS, PIPELINES, type Run, type RunLine, RUNS } from "../../api/client/operations.ts";
import { invalidRecords } from "../../api/client/repair.ts";
import { isFinal } from "../../shared/contracts/phases.ts";
import project from "../../deno.json" with { type: "json" };
import { programPath } from "../services.ts";
import { EXIT, print, say, table, UsageError } from "../command_line.ts";
import { type Command, confirmOr, Failed, findRun, namedPipeline, steer } from "./command.ts";
import { followRun, lineOf } from "./follow.ts";
import { newPipeline } from "./new.ts";
import { notify } from "./notify.ts";
import { repair } from "./repair.ts";
import { tryPipeline } from "./try.ts";
import { why } from "./why.ts";

const MOST = 500;

const pipelines: Command = async ({ api, options: { json } }) => {
  const { pipelines } = await api.ask(PIPELINES);
  if (json) pipelines.forEach(print);
  else {
    table(
      ["pipeline", "runs", "last run", "status", "next run", "problems"],
      pipelines.map(({ name, runs, lastRun, nextRun, problems }) => [
        name,
        runs,
        lastRun?.runTimestamp ?? null,
        lastRun?.status ?? null,
        nextRun,
        problems.join("; "),
      ]),
    );
  }
  return EXIT.ok;
};

const runs: Command = async ({ api, options: { json, limit, pipeline } }) => {
  const { etlRunsConnection: { nodes } } = await api.ask(RUNS, {
    first: Math.min(limit, MOST),
    pipeline: await namedPipeline(api, pipeline),
  });
  if (json) nodes.forEach(print);
  else {
    const asks = nodes.some(({ since }) => since !== null);
    const heads = ["run", "pipeline", "requested", "status", "valid", "invalid", "ms", "delivery"];
    table([...heads, ...asks ? ["since", "up to"] : [], "id"], nodes.map((run) => rowOf(run, asks)));
  }
  return EXIT.ok;
};

const show: Command = async ({ api, words, options: { json } }) => {
  const run = await findRun(api, words[0]);
  if (json) {
    print(run);
    return EXIT.ok;
  }
  say(`Run ${run.id} ${run.status}, requested by ${run.requestedBy} at ${run.runTimestamp} (${run.runId})`);
  if (run.failure) {
    say(`${run.failure.reason} ${run.failure.retryable ? "Start it again." : "Change something first."}`);
  }
  if (run.completeness) {
    const { announced, received, missing, repeated } = run.completeness;
    say(
      `Announced ${announced ?? "nothing"}, received ${received}, missing ${missing}, repeated ${repeated}`,
    );
  }
  if (run.correctionOf) say(`It corrects run ${run.correctionOf.id}.`);
  if (run.since) {
    say(
      `It asked for changes since ${run.since.from}, and got ${
        run.since.to === null ? "nothing" : `all up to ${run.since.to}`
      }.`,
    );
  }
  if (run.hold) sayHold(run, run.hold);
  const part = (title: string, heads: string[], rows: (string | number | null)[][]) => {
    if (rows.length === 0) return;
    say(`\n${title}`);
    table(heads, rows);
  };
  part(
    "Phases",
    ["phase", "ms", "records", "records/s", "tries"],
    run.phases.map(({ phase, durationMs, records, recordsPerSecond, attempts }) => [
      phase,
      durationMs,
      records,
      recordsPerSecond === null ? null : Math.round(recordsPerSecond),
      attempts,
    ]),
  );
  part(
    "Reasons of invalid records",
    ["count", "reason"],
    run.reasons.map(({ count, reason }) => [count, reason]),
  );
  part(
    "Values without a code",
    ["count", "value"],
    run.lookupGaps.map(({ count, department }) => [count, department]),
  );
  part(
    "Files",
    ["file", "records", "bytes", "sha256"],
    run.files.map(({ name, records, bytes, sha256 }) => [name, records, bytes, sha256]),
  );
  part(
    `Delivery ${run.delivery?.state ?? ""} ${run.delivery?.error ?? ""}`.trimEnd(),
    ["file", "bytes", "verified"],
    (run.delivery?.files ?? []).map(({ remotePath, bytes, verified }) => [remotePath, bytes, verified]),
  );
  part(
    "Corrections",
    ["run", "status", "valid", "invalid"],
    run.corrections.map((line) => [
      line.id,
      line.status,
      line.validCount,
      line.invalidCount,
    ]),
  );
  say("\nEvents");
  for (const event of run.events) say(lineOf(event));
  return EXIT.ok;
};

const start: Command = async (work) => {
  const { runId } = await steer(work.api, "startRun", {
    pipeline: await namedPipeline(work.api, work.options.pipeline),
  });
  if (work.options.watch) return await followRun(work, runId!);
  if (work.options.json) print({ runId });
  else say(`run ${runId} requested`);
  return EXIT.ok;
};

const watch: Command = async (work) => {
  const { words, api } = work;
  if (words[0] !== undefined) return await followRun(work, (await findRun(api, words[0])).runId);
  const { etlRunsConnection: { nodes } } = await api.ask(RUNS, { first: 20 });
  const run = nodes.find(({ status }) => !isFinal(status)) ?? nodes[0];
  if (run === undefined) throw new Failed("There is no run to watch. Start one: deno task etl start --watch");
  return await followRun(work, run.runId);
};

const invalid: Command = async ({ api, words, options: { json, reason, limit } }) => {
  const run = await findRun(api, words[0]);
  const rows: (string | number | null)[][] = [];
  for await (const record of invalidRecords(api, run.runId, reason)) {
    if (json) print(record);
    else rows.push([record.line, record.corrections.length > 0 ? "corrected" : "", record.errorReason]);
    if (!json && rows.length === limit) break;
  }
  if (!json) table(["line", "", "why"], rows);
  return EXIT.ok;
};

const rewind: Command = async (work) => {
  const { api, words: [name], options: { to, json, watch } } = work;
  if (name === undefined || to === undefined) throw new UsageError("Wanted rewind NAME --to VALUE.");
  const { runId } = await steer(api, "startRun", { pipeline: await namedPipeline(api, name), since: to });
  if (watch) return await followRun(work, runId!);
  if (json) print({ runId });
  else say(`run ${runId} requested, which asks for changes since ${to}`);
  return EXIT.ok;
};

const release: Command = async ({ api, words, options: { json } }) => {
  const { id, runId } = await findRun(api, words[0]);
  await steer(api, "releaseRun", { runId });
  if (json) print({ runId });
  else say(`Released run ${id}: it is loaded and delivered as it was held.`);
  return EXIT.ok;
};

const reject: Command = async ({ api, words, options: { json, yes } }) => {
  const { id, runId, hold } = await findRun(api, words[0]);
  if (hold?.decision === null) confirmOr(yes, `Reject run ${id}, and remove its files?`);
  await steer(api, "rejectRun", { runId });
  if (json) print({ runId });
  else say(`Rejected run ${id}: nothing of it is loaded, and its files are removed.`);
  return EXIT.ok;
};

const redeliver: Command = async ({ api, words, options: { json } }) => {
  const { id, runId } = await findRun(api, words[0]);
  await steer(api, "redeliverRun", { runId });
  if (json) print({ runId });
  else say(`Requested the delivery of run ${id}.`);
  return EXIT.ok;
};

const dead: Command = async ({ api, words: [what = "list", id], options }) => {
  if (what === "list") {
    const { deadLetters: { nodes } } = await api.ask(DEAD_LETTERS, {
      first: Math.min(options.limit, MOST),
    });
    if (options.json) nodes.forEach(print);
    else {
      table(
        ["buried", "tries", "bytes", "reason", "id"],
        nodes.map((letter) => [
          letter.buriedAt,
          letter.attempts,
          new TextEncoder().encode(letter.body).length,
          letter.reason,
          letter.id,
        ]),
      );
    }
    return EXIT.ok;
  }
  if ((what !== "replay" && what !== "discard") || id === undefined) {
    throw new UsageError("Wanted dead, dead replay ID or dead discard ID.");
  }
  if (what === "discard") confirmOr(options.yes, `Discard ${id} permanently?`);
  await steer(api, what === "replay" ? "replayDeadLetter" : "discardDeadLetter", { id });
  if (options.json) print({ id });
  else say(what === "replay" ? `${id} is in its channel again.` : `${id} is gone.`);
  return EXIT.ok;
};

/** Compares the copies of a run; that needs the files, so it runs here and not in the API. */
const verify: Command = async ({ api, words: [name = "latest"], options: { json } }) => {
  const which = name === "latest" || name === "all" ? name : (await findRun(api, name)).runId;
  const args = project.tasks.verify.command.split(" ").slice(1)
    .map((word) => word.endsWith(".ts") ? programPath(word) : word);
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args, "--run", which, ...(json ? ["--json"] : [])],
  });
  return (await child.spawn().status).code;
};

export const COMMANDS: Readonly<Record<string, Command>> = {
  pipelines,
  runs,
  show,
  start,
  rewind,
  watch,
  invalid,
  repair,
  release,
  reject,
  redeliver,
  dead,
  notify,
  verify,
  why,
  new: newPipeline,
  try: tryPipeline,
};

function sayHold({ id }: Run, hold: NonNullable<Run["hold"]>): void {
  say(hold.reason);
  if (hold.decision !== null) {
    say(
      `${hold.decision === "RELEASED" ? "Released" : "Rejected"} by ${hold.decidedBy} at ${hold.decidedAt}.`,
    );
    return;
  }
  const { comparedWith: before } = hold;
  table(["run", "valid", "invalid"], [
    [id, hold.validCount, hold.invalidCount],
    ...before === null ? [] : [[before.id, before.validCount, before.invalidCount]],
  ]);
  for (const sample of hold.samples) say(JSON.stringify(sample));
  say(`Decide: deno task etl release ${id}, or deno task etl reject ${id}`);
}

/** `asks`: whether any run asks only for changes. */
function rowOf(run: RunLine, asks: boolean): (string | number | null)[] {
  const {
    id,
    pipeline,
    runTimestamp,
    status,
    validCount,
    invalidCount,
    durationMs,
    delivery,
    correctionOf,
    since,
    runId,
  } = run;
  const corrects = correctionOf === null ? "" : ` (corrects ${correctionOf.id})`;
  return [
    id,
    pipeline,
    runTimestamp,
    `${status}${corrects}`,
    validCount,
    invalidCount,
    durationMs,
    delivery?.state ?? null,
    ...asks ? [since?.from ?? null, since?.to ?? null] : [],
    runId,
  ];
}
