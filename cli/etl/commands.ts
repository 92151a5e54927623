import {
  DEAD_LETTERS,
  type InvalidRecord,
  PIPELINES,
  type Run,
  type RunLine,
  RUNS,
  type Steering,
} from "../../api/client/operations.ts";
import { invalidRecords } from "../../api/client/repair.ts";
import { isFinal } from "../../shared/contracts/phases.ts";
import project from "../../deno.json" with { type: "json" };
import { programPath } from "../services.ts";
import { type Columns, EXIT, print, say, table, UsageError } from "../command_line.ts";
import {
  type Command,
  confirmOr,
  done,
  Failed,
  findRun,
  firstOf,
  listed,
  namedPipeline,
  type Options,
  SHOWN,
  steer,
  type Work,
} from "./command.ts";
import { followRun, lineOf } from "./follow.ts";
import { newPipeline } from "./new.ts";
import { notify } from "./notify.ts";
import { repair } from "./repair.ts";
import { tryPipeline } from "./try.ts";
import { why } from "./why.ts";

const pipelines: Command = async ({ api, options: { json } }) =>
  listed(json, (await api.ask(PIPELINES)).pipelines, {
    pipeline: "name",
    runs: "runs",
    "last run": ({ lastRun }) => lastRun?.runTimestamp,
    status: ({ lastRun }) => lastRun?.status,
    "next run": "nextRun",
    problems: ({ problems }) => problems.join("; "),
  });

const runs: Command = async ({ api, options: { json, limit, pipeline } }) => {
  const { etlRunsConnection: { nodes } } = await api.ask(RUNS, {
    ...firstOf(limit),
    pipeline: await namedPipeline(api, pipeline),
  });
  const ranges: Columns<RunLine> = {
    since: ({ since }) => since?.from,
    "up to": ({ since }) => since?.to,
  };
  return listed(json, nodes, {
    run: "id",
    pipeline: "pipeline",
    requested: "runTimestamp",
    status: ({ status, correctionOf }) =>
      `${status}${correctionOf === null ? "" : ` (corrects ${correctionOf.id})`}`,
    valid: "validCount",
    invalid: "invalidCount",
    ms: "durationMs",
    delivery: ({ delivery }) => delivery?.state,
    ...nodes.some(({ since }) => since !== null) && ranges,
    id: "runId",
  });
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
      `It requested changes since ${run.since.from}, and got ${
        run.since.to === null ? "nothing" : `all up to ${run.since.to}`
      }.`,
    );
  }
  if (run.hold) sayHold(run, run.hold);
  const part = <T>(title: string, rows: readonly T[], columns: Columns<T>) => {
    if (rows.length === 0) return;
    say(`\n${title}`);
    table(rows, columns);
  };
  part("Phases", run.phases, {
    phase: "phase",
    ms: "durationMs",
    records: "records",
    "records/s": ({ recordsPerSecond }) => recordsPerSecond && Math.round(recordsPerSecond),
    tries: "attempts",
  });
  part("Reasons of invalid records", run.reasons, { count: "count", reason: "reason" });
  part("Values without a code", run.lookupGaps, { count: "count", value: "department" });
  part("Files", run.files, { file: "name", records: "records", bytes: "bytes", sha256: "sha256" });
  part(
    `Delivery ${run.delivery?.state ?? ""} ${run.delivery?.error ?? ""}`.trimEnd(),
    run.delivery?.files ?? [],
    { file: "remotePath", bytes: "bytes", verified: "verified" },
  );
  part("Corrections", run.corrections, {
    run: "id",
    status: "status",
    valid: "validCount",
    invalid: "invalidCount",
  });
  say("\nEvents");
  for (const event of run.events) say(lineOf(event));
  return EXIT.ok;
};

/** Requests a run, for changes since a moment if one is given. */
async function request(work: Work, name: string | undefined, since?: string): Promise<number> {
  const { api, options: { watch, json } } = work;
  const { runId } = await steer(api, "startRun", { pipeline: await namedPipeline(api, name), since });
  if (watch) return await followRun(work, runId!);
  const asks = since === undefined ? "" : `, which requests changes since ${since}`;
  return done(json, { runId }, `run ${runId} requested${asks}`);
}

const start: Command = (work) => request(work, work.options.pipeline);

const rewind: Command = async (work) => {
  const { words: [name], options: { to } } = work;
  if (name === undefined || to === undefined) throw new UsageError("Wanted rewind NAME --to VALUE.");
  return await request(work, name, to);
};

const watch: Command = async (work) => {
  const { words, api } = work;
  if (words[0] !== undefined) return await followRun(work, (await findRun(api, words[0])).runId);
  const { etlRunsConnection: { nodes } } = await api.ask(RUNS, firstOf());
  const run = nodes.find(({ status }) => !isFinal(status)) ?? nodes[0];
  if (run === undefined) throw new Failed("There is no run to watch. Start one: deno task etl start --watch");
  return await followRun(work, run.runId);
};

const invalid: Command = async ({ api, words, options: { json, reason, limit } }) => {
  const run = await findRun(api, words[0]);
  const most = limit ?? (json ? Infinity : SHOWN);
  const found: InvalidRecord[] = [];
  let count = 0;
  for await (const record of invalidRecords(api, run.runId, reason)) {
    if (json) print(record);
    else found.push(record);
    if (++count === most) break;
  }
  if (!json) {
    table(found, {
      line: "line",
      "": ({ corrections }) => corrections.length > 0 ? "corrected" : "",
      why: "errorReason",
    });
  }
  return EXIT.ok;
};

/** A command that orders an action on a run, after a confirmation if there is a `question`. */
function order(
  what: Steering,
  doneText: (id: string) => string,
  question: (run: Run) => string | undefined = () => undefined,
): Command {
  return async ({ api, words, options: { json, yes } }) => {
    const run = await findRun(api, words[0]);
    const { id, runId } = run;
    const text = question(run);
    if (text !== undefined) confirmOr(yes, text);
    await steer(api, what, { runId });
    return done(json, { runId }, doneText(id));
  };
}

const release = order(
  "releaseRun",
  (id) => `Released run ${id}: it is loaded and delivered as it was held.`,
);
const reject = order(
  "rejectRun",
  (id) => `Rejected run ${id}: nothing of it is loaded, and its files are removed.`,
  ({ id, hold }) => hold?.decision === null ? `Reject run ${id}, and remove its files?` : undefined,
);
const redeliver = order("redeliverRun", (id) => `Requested the delivery of run ${id}.`);

const dead: Command = async ({ api, words: [what, id], options: { json, limit, yes } }) => {
  if (what === undefined) {
    return listed(json, (await api.ask(DEAD_LETTERS, firstOf(limit))).deadLetters.nodes, {
      buried: "buriedAt",
      tries: "attempts",
      bytes: ({ body }) => new TextEncoder().encode(body).length,
      reason: "reason",
      id: "id",
    });
  }
  if ((what !== "replay" && what !== "discard") || id === undefined) {
    throw new UsageError("Wanted dead, dead replay ID or dead discard ID.");
  }
  if (what === "discard") confirmOr(yes, `Discard ${id} permanently?`);
  await steer(api, what === "replay" ? "replayDeadLetter" : "discardDeadLetter", { id });
  return done(json, { id }, what === "replay" ? `${id} is in its channel again.` : `${id} is gone.`);
};

/** Compares the copies of a run; it needs the files, so it runs here and not in the API. */
const verify: Command = async ({ api, words: [name = "latest"], options: { json } }) => {
  const which = name === "latest" || name === "all" ? name : (await findRun(api, name)).runId;
  const args = project.tasks.verify.command.split(" ").slice(1)
    .map((word) => word.endsWith(".ts") ? programPath(word) : word);
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args, "--run", which, ...(json ? ["--json"] : [])],
  });
  return (await child.spawn().status).code;
};

/** Each command, its number of words, and its options besides `--json`. */
export const COMMANDS: Readonly<
  Record<string, readonly [command: Command, words: number, ...options: (keyof Options)[]]>
> = {
  pipelines: [pipelines, 0],
  runs: [runs, 0, "pipeline", "limit"],
  show: [show, 1],
  start: [start, 0, "pipeline", "watch"],
  rewind: [rewind, 1, "to", "watch"],
  watch: [watch, 1],
  invalid: [invalid, 1, "reason", "limit"],
  repair: [repair, 1, "reason", "set", "from", "check", "yes"],
  release: [release, 1],
  reject: [reject, 1, "yes"],
  redeliver: [redeliver, 1],
  dead: [dead, 2, "limit", "yes"],
  notify: [notify, 0, "test", "limit"],
  why: [why, 1, "pipeline"],
  verify: [verify, 1],
  new: [newPipeline, 1, "name", "header"],
  try: [tryPipeline, 1],
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
  const { validCount, invalidCount } = hold;
  table([{ id, validCount, invalidCount }, ...before === null ? [] : [before]], {
    run: "id",
    valid: "validCount",
    invalid: "invalidCount",
  });
  for (const sample of hold.samples) say(JSON.stringify(sample));
  say(`Decide: deno task etl release ${id}, or deno task etl reject ${id}`);
}
