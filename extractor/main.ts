/**
 * The extractor service. `--once` carries out one run's extraction and exits: 0 when the raw file is complete and announced, 1 when not.
 */
import { STALL_MS } from "../shared/actor/actor.ts";
import { runActor } from "../shared/actor/run_actor.ts";
import { ask } from "../shared/actor/ask.ts";
import { HeardCancellations } from "../shared/actor/cancel.ts";
import { EXIT, runService, runTogether, whenListening, whenThere } from "../shared/actor/service.ts";
import type { Channel } from "../shared/channel/channel.ts";
import { openChannel } from "../shared/channel/open.ts";
import { variable } from "../shared/config/config.ts";
import { filesPlaceOf, redisUrlOf } from "../shared/config/variables.ts";
import { isFinal, statusAfter } from "../shared/contracts/messages.ts";
import { messageOf, PermanentError } from "../shared/errors/errors.ts";
import { openFiles } from "../shared/files/open.ts";
import { loadPipelines, pipelinesDir } from "../shared/pipeline/load.ts";
import { openExtractorState } from "../shared/store/open.ts";
import { ExtractorVariables } from "./config.ts";
import { checkpointOf, extractor } from "./extract.ts";
import { plannedUntilIn } from "./planned_until.ts";
import { runReannounce } from "./reannounce.ts";
import { keepTidying } from "./tidy.ts";
import { planOf, runSchedule } from "./schedule.ts";
import { patienceOf } from "./source.ts";
import { Sources } from "./sources.ts";
import { LocalState } from "./state.ts";
import { tracker } from "./tracker.ts";

if (import.meta.main) {
  await runService(
    "extractor",
    ExtractorVariables,
    async (config, { use, signal, log }) => {
      const channel = use(await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH }));
      const files = openFiles(filesPlaceOf(config));
      const leaseMs = config.LEASE_SECONDS * 1_000;
      const url = config.DATABASE_URL;
      const state = url === undefined
        ? new LocalState(`${config.DATA_DIR}/state`)
        : use(await whenThere(() => openExtractorState(url, leaseMs), signal, log));
      const pipelines = await loadPipelines(pipelinesDir(config.PIPELINES_DIR));
      const patience = patienceOf(config);
      const sources = use(new Sources(pipelines, patience, variable));
      const cancellations = new HeardCancellations();
      const actor = extractor({
        sourceOf: (pipeline) => sources.of(pipeline),
        files,
        state,
        cancellations,
        lockWaitMs: 0, // a request for a busy pipeline must not delay others
        stallMs: STALL_MS + patience.timeoutMs,
        resumeMaxAgeMs: config.RESUME_MAX_AGE_HOURS * 3_600_000,
      });
      const parallel = Math.max(1, Math.min(config.MAX_PARALLEL, sources.usable.size));
      const work = (signal: AbortSignal) =>
        runTogether(
          signal,
          ...Array.from({ length: parallel }, () => (signal: AbortSignal) =>
            runActor(actor, channel, { signal, leaseMs, cancellations })),
        );
      const listen = (signal: AbortSignal) => cancellations.listen(channel, signal);
      const ready = () =>
        log.info("ready", { sources: [...sources.usable.values()].map(({ name }) => name).join(" ") });
      if (Deno.args.includes("--once")) {
        ready();
        return await once(channel, signal, work);
      }
      const hasCompleted = (pipeline: string) =>
        checkpointOf(state, sources.of(pipeline)).then((kept) => kept.hasCompleted, (error) => {
          log.error("cannot tell whether a run has completed, so RUN_ON_START=if-none starts none", {
            pipeline,
            reason: messageOf(error),
          });
          return true;
        });
      const openings = [...sources.usable.values()].map((source) => () => checkpointOf(state, source));
      const plans = [...sources.usable.keys()].flatMap((name) =>
        planOf(name, pipelines.plans.get(name)!.definition.schedule, config, variable) ?? []
      );
      await runTogether(
        signal,
        work,
        listen,
        (signal) => runActor(tracker({ state, files }), channel, { signal, leaseMs }),
        (signal) => whenListening(channel, [actor.mailbox, "channel:run_outcome"], signal, ready),
        (signal) => runReannounce({ channel, state, files, openings }, signal),
        (signal) => keepTidying(files, signal),
        ...plans.map((plan) => (signal: AbortSignal) =>
          runSchedule(plan, {
            channel,
            hasCompleted: () => hasCompleted(plan.pipeline),
            plannedUntil: plannedUntilIn(state, plan.pipeline),
            signal,
          })
        ),
      );
    },
  );
}

/** Requests a run, and works until its extraction has ended, here or in another extractor of the same channel. */
async function once(
  channel: Channel,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<number> {
  const finished = new AbortController();
  const either = AbortSignal.any([signal, finished.signal]);
  const working = work(either);
  try {
    for await (
      const event of ask(channel, { requestedBy: "cli", actor: "cli" }, { queue: true, signal: either })
    ) {
      if (event.type === "phase_completed") return EXIT.ok;
      if (event.type === "run_failed") throw new PermanentError(event.reason);
      if (event.type !== "run_superseded" && isFinal(statusAfter(event))) break;
    }
    throw new PermanentError(
      "The extraction was stopped before its end. Start another one; it resumes where this one stopped.",
    );
  } finally {
    finished.abort();
    await working;
  }
}
