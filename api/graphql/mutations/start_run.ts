import { RunActive, tell } from "../../../shared/actor/ask.ts";
import { follow } from "../../../shared/actor/follow.ts";
import { type Correction, isFinal, type Moment } from "../../../shared/contracts/messages.ts";
import { DEFAULT_PIPELINE } from "../../../shared/contracts/names.ts";
import { timeOf } from "../../../shared/pipeline/moments.ts";
import { isPlaceholder } from "../../../shared/pipeline/placeholder.ts";
import { absence, defaultPipeline } from "../../pipelines.ts";
import { badInput, bounded, builder } from "../builder.ts";
import type { Context } from "../context.ts";
import { knownPipeline } from "../pipeline.ts";
import { EtlRun } from "../run.ts";
import { audited, type Problem, resultType, RunAlreadyActive, seen } from "./result.ts";

export interface Started {
  /** The run; if the request resumed another run, that one. */
  readonly runId: string;
  readonly finished: boolean;
}

/** The field that returns the run, once the saver has written it. */
export const startedRun = {
  type: EtlRun,
  nullable: true as const,
  description: "Null while the recorder hasn't written it.",
  resolve: ({ runId, finished }: Started, _args: object, context: Context) =>
    seen(context, ({ runs }) => runs.byRunId(runId), (run) => !finished || isFinal(run.status)),
};

const StartRunSuccess = builder.objectRef<Started & { __typename: "StartRunSuccess" }>("StartRunSuccess")
  .implement({
    description: "The requested run.",
    fields: (t) => ({
      runId: t.exposeID("runId"),
      finished: t.exposeBoolean("finished", { description: "Whether it has ended." }),
      run: t.field(startedRun),
    }),
  });

const StartRunResult = resultType("startRun", StartRunSuccess, RunAlreadyActive);

const StartRunInput = builder.inputType("StartRunInput", {
  fields: (t) => ({
    pipeline: t.string({ description: "Which pipeline; default `users`, or the only one." }),
    requestedBy: t.string({ description: "Who asks; default `api`." }),
    since: t.string({
      description: "Rewinds the pipeline: requests changes since then again, loaded or not.",
    }),
    wait: t.boolean({ description: "Answer when the run has ended, or is held." }),
    timeoutSeconds: t.int({ description: "How long to wait at most; default 300, at most 3600." }),
  }),
});

builder.mutationField("startRun", (t) =>
  t.field({
    type: StartRunResult,
    description: "Requests a run.",
    args: { input: t.arg({ type: StartRunInput }) },
    resolve: async (_root, { input }, context) => {
      const requestedBy = input?.requestedBy?.slice(0, 200) || "api";
      const seconds = bounded("timeoutSeconds", input?.timeoutSeconds ?? 300, 1, 3600);
      const pipeline = await usable(input?.pipeline ?? defaultPipeline(context.ports.pipelines), context);
      return await start(
        context,
        "startRun",
        {
          requestedBy,
          pipeline,
          ...input?.since == null ? {} : { since: momentOf(input.since, pipeline, context) },
        },
        input?.wait ? seconds * 1000 : undefined,
      );
    },
  }));

/** @throws a GraphQLError if the pipeline can't be run. */
async function usable(name: string, context: Context): Promise<string> {
  const { plans, broken } = context.ports.pipelines;
  if (plans.has(await knownPipeline(name, context))) return name;
  const problems = broken.get(name) ?? [absence(context.ports.pipelines, name)];
  throw badInput(`Cannot run ${JSON.stringify(name)}, its definition can't be used: ${problems.join("; ")}.`);
}

/** @throws a GraphQLError if the pipeline can't be rewound to that moment. */
function momentOf(text: string, pipeline: string, { ports }: Context): Moment {
  const since = ports.pipelines.plans.get(pipeline)?.definition.source.since;
  const wrong = (why: string) => badInput(`Cannot rewind ${pipeline} to ${JSON.stringify(text)}: ${why}.`);
  if (since === undefined) throw wrong("its definition has no since, so each run reads all records");
  const from: unknown = isPlaceholder(since.from) && "fallback" in since.from
    ? since.from.fallback
    : since.from;
  if (typeof from === "number") {
    const number = text.trim() === "" ? NaN : Number(text);
    if (!Number.isFinite(number)) throw wrong("wanted a number, as its records have");
    return number;
  }
  if (timeOf(String(from)) === undefined || timeOf(text) !== undefined) return text.slice(0, 200);
  throw wrong(`wanted a time such as ${from}`);
}

/**
 * Requests a run, audits it as `action`, and with `waitMs` waits for its end. A client that disconnects ends the wait,
 * but not the run.
 */
export async function start(
  context: Context,
  action: string,
  request: { requestedBy: string; correction?: Correction; pipeline?: string; since?: Moment },
  waitMs?: number,
): Promise<
  (Started & { __typename: "StartRunSuccess" }) | Problem<"RunAlreadyActive"> | Problem<"ServiceUnavailable">
> {
  const { ports: { channel }, signal, closing } = context;
  const enough = new AbortController();
  const waiting = AbortSignal.any([signal, closing, enough.signal]);
  const timer = waitMs === undefined ? undefined : setTimeout(() => enough.abort(), waitMs);
  try {
    let bodies: AsyncIterable<string> | undefined;
    const { correction, since } = request;
    const about = {
      requestedBy: request.requestedBy,
      ...(request.pipeline === undefined ? {} : { pipeline: request.pipeline }),
      ...(correction === undefined ? {} : { correctionOf: correction.of }),
      ...(since === undefined ? {} : { since }),
    };
    const started = await audited(context, action, about, async (about) => {
      if (waitMs !== undefined) bodies = await channel.watch("channel:run_events", waiting);
      try {
        const runId = await tell(channel, { ...request, actor: "api" });
        about.runId = runId;
        return { __typename: "StartRunSuccess" as const, runId, finished: false };
      } catch (error) {
        if (!(error instanceof RunActive)) throw error;
        const front = await context.store?.holds.inFront(request.pipeline ?? DEFAULT_PIPELINE);
        const held = front?.decision === null
          ? new RunActive(front.run_id, "is held before its load")
          : error;
        return {
          __typename: "RunAlreadyActive" as const,
          message: held.message,
          activeRunId: held.activeRunId,
        };
      }
    });
    if (started.__typename !== "StartRunSuccess" || bodies === undefined) return started;
    let { runId } = started;
    let isHeld = false;
    for await (const event of follow(runId, bodies)) {
      isHeld = event.type === "run_held";
      runId = event.type === "run_superseded" ? event.by : event.run_id;
    }
    return { ...started, runId, finished: !waiting.aborted && !isHeld };
  } finally {
    clearTimeout(timer);
    enough.abort();
  }
}
