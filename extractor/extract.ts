/** Phase 1: turns a request for a run into a raw file and a message about it. */
import { getLogger } from "@logtape/logtape";
import {
  type Actor,
  type Done,
  type Handling,
  type OutputOn,
  type Planned,
  STALL_MS,
} from "../shared/actor/actor.ts";
import { pause } from "../shared/actor/backoff.ts";
import { type Cancellations, NO_CANCELLATIONS } from "../shared/actor/cancel.ts";
import { Completeness, type StartRun } from "../shared/contracts/messages.ts";
import { DEFAULT_PIPELINE, pipelineOfFile, rawFolder, stateFile } from "../shared/contracts/names.ts";
import { Busy, PermanentError } from "../shared/errors/errors.ts";
import type { Documents } from "../shared/files/documents.ts";
import type { Files } from "../shared/files/files.ts";
import { PHASE1 } from "../shared/files/receipts.ts";
import type { State } from "../shared/files/state.ts";
import { AT_START, Checkpoint, fileTime, type Finished, type Unfinished } from "./checkpoint.ts";
import { rangeOf, refuseRewind, sinceOf } from "./changes.ts";
import { correctedLineNumbers, correctedRecords } from "./correct.ts";
import { keepAnnouncement } from "./announcements.ts";
import { BeginAgain, Outdated, outdatedBy } from "./outdated.ts";
import { writeRun } from "./run.ts";
import type { Source } from "./source.ts";
import { heldIn, standingOf } from "./standing.ts";

const log = getLogger(["etl", "extractor"]);

export interface ExtractorParts {
  /** @throws PermanentError with the reason if the pipeline has no usable source. */
  readonly sourceOf: (pipeline: string) => Source;
  readonly files: Files;
  readonly state: State;
  /** Cancelled runs aren't resumed. */
  readonly cancellations?: Cancellations;
  /**
   * Milliseconds to wait while another run of the pipeline is extracted, before the request is handed back. Default 10
   * minutes.
   */
  readonly lockWaitMs?: number;
  /** Milliseconds since its start after which an unfinished run is restarted instead of resumed. Default 24 hours. */
  readonly resumeMaxAgeMs?: number;
  readonly stallMs?: number;
  readonly now?: () => number;
}

/** How often a request that waits for a held run checks for a decision, in milliseconds. */
const HELD_AGAIN_MS = 3_000;

const DAY_MS = 86_400_000;

/** How often a wait between two tries is reported, in milliseconds. */
const REPORT_EVERY_MS = 60_000;

type Task =
  | { do: "repeat"; runId: string; finished: Finished }
  | { do: "nothing"; runId: string }
  | { do: "correct"; runId: string }
  | { do: "resume"; runId: string; unfinished: Unfinished }
  | { do: "begin"; runId: string; again?: string | undefined };

/** The task, determined from the checkpoint while the lock is held. */
interface ExtractorPlan {
  readonly task: Task;
  readonly checkpoint: Checkpoint;
  readonly source: Source;
  readonly documents: Documents;
}

/** @throws as `Checkpoint.open`. */
export async function checkpointOf(state: Documents, source: Source, now?: number): Promise<Checkpoint> {
  const { pipeline, name, style } = source;
  return await Checkpoint.open(state, stateFile(pipeline), name, {
    paging: style.by,
    ...now === undefined ? {} : { now },
  });
}

/**
 * The extractor: mailbox `channel:start_run`, output `channel:phase1_complete`.
 *
 * Guarantee: even if a request is repeated or the process is killed, the run has one raw file, with each record of the
 * source once. A request that arrives while a run of the same source is unfinished resumes that run instead, and is
 * reported as superseded by it. Runs of different pipelines are extracted in parallel, those of one pipeline one after
 * the other.
 */
export function extractor(parts: ExtractorParts): Actor<"channel:start_run", ExtractorPlan> {
  const {
    files,
    state,
    lockWaitMs = 600_000,
    resumeMaxAgeMs = DAY_MS,
    stallMs = STALL_MS,
    now = Date.now,
  } = parts;

  /** Waits while another run of the pipeline is extracted. Discards an unfinished run that can't be resumed. */
  async function plan(request: StartRun, signal: AbortSignal): Promise<Planned<ExtractorPlan>> {
    const source = parts.sourceOf(request.pipeline);
    const held = heldIn(await standingOf(state, source.pipeline), now());
    if (held !== undefined && request.correction === undefined) {
      throw new Busy(
        `Run ${request.run_id} waits: run ${held} of the same pipeline is held until somebody releases or rejects it.`,
        { retryAfterMs: HELD_AGAIN_MS },
      );
    }
    refuseRewind(request, source);
    using opened = new DisposableStack();
    const lockName = source.pipeline === DEFAULT_PIPELINE ? "extractor" : stateFile(source.pipeline);
    const { documents } = opened.use(
      await state.lock(lockName, { waitMs: lockWaitMs, sleep: pause, signal }),
    );
    const checkpoint = await checkpointOf(documents, source, now());
    const { current } = checkpoint;
    // the unfinished run requests changes since another moment
    const isElsewhere = request.since !== undefined && current?.run_id !== request.run_id;
    const again = current && outdatedBy(current, source, { now: now(), maxAgeMs: resumeMaxAgeMs });
    if (again !== undefined) log.warning(again);
    if (current !== undefined && (again !== undefined || isElsewhere || isCancelled(current.run_id))) {
      await discard(checkpoint);
    }
    const task = taskOf(request, checkpoint, again);
    return {
      runId: task.runId,
      plan: { task, checkpoint, source, documents },
      after: lastKnown(task),
      held: opened.move(),
    };
  }

  function taskOf(request: StartRun, checkpoint: Checkpoint, again: string | undefined): Task {
    const finished = checkpoint.finishedBy(messageIdOf(request));
    if (finished !== undefined) return { do: "repeat", runId: finished.run_id, finished };
    const runId = request.run_id;
    if (checkpoint.finished(runId) !== undefined) return { do: "nothing", runId };
    if (request.correction !== undefined) return { do: "correct", runId };
    const { current } = checkpoint;
    if (current === undefined) return { do: "begin", runId, again };
    return { do: "resume", runId: current.run_id, unfinished: current };
  }

  function isCancelled(runId: string): boolean {
    let cancelled = false;
    using _listening = (parts.cancellations ?? NO_CANCELLATIONS).onCancelled(runId, () => cancelled = true);
    return cancelled;
  }

  async function handle(
    request: StartRun,
    handling: Handling,
    plan: ExtractorPlan,
  ): Promise<Done> {
    const extraction = { ...plan, request, handling };
    const { task } = plan;
    switch (task.do) {
      case "repeat":
        return doneOf(task.finished, request);
      case "nothing":
        return { outputs: [], detail: { note: "This run was extracted before; it is not extracted again." } };
      case "correct":
        return doneOf(await correct(extraction), request);
      case "resume":
        await tellSuperseded(request, task.unfinished, handling);
        return doneOf(await resume(extraction, task.unfinished), request);
      case "begin":
        return doneOf(await extract(extraction, await begun(extraction, task.runId, task.again)), request);
    }
  }

  async function begun(
    extraction: Extraction,
    runId: string,
    again: string | undefined,
  ): Promise<Unfinished> {
    const { request, checkpoint, source, handling } = extraction;
    const since = await sinceOf(request, source, state, now(), handling.signal);
    return {
      run_id: runId,
      source: source.name,
      asks: source.asks,
      paging: source.style.by,
      raw_file: await freeName(source.pipeline, checkpoint),
      ...AT_START,
      ...since === undefined ? {} : { since },
      started_at: new Date(now()).toISOString(),
      ...again === undefined ? {} : { began_again: again },
    };
  }

  /** If the source has changed meanwhile, the same run restarts with another file. */
  async function resume(extraction: Extraction, unfinished: Unfinished): Promise<Finished> {
    try {
      return await extract(extraction, unfinished);
    } catch (error) {
      if (!(error instanceof Outdated)) throw error;
      log.warning(error.message, { run_id: unfinished.run_id });
      const { since } = unfinished;
      return await extract(extraction, {
        ...await begun(extraction, unfinished.run_id, error.message),
        ...since === undefined ? {} : { since },
      });
    }
  }

  async function extract(extraction: Extraction, begun: Unfinished) {
    const { request, checkpoint, source, handling } = extraction;
    let run: Unfinished = { ...begun, message_id: request.id };
    let reached = run;
    const keep = () => checkpoint.advance({ ...run, seen_at: new Date(now()).toISOString() });
    const report = () =>
      handling.progress({ done: reached.records, total: reached.total ?? undefined, unit: "records" });
    await keep();
    try {
      const written = await writeRun(run, {
        source: { ...source, sleep: (ms, signal) => sleepReporting(source.sleep, ms, signal, report) },
        files,
        signal: handling.signal,
        onIds: report,
        onSafe: async (safe) => {
          run = reached = safe;
          await keep();
        },
        onPage: (advanced) => {
          reached = advanced;
          report();
        },
      });
      const since = rangeOf(reached, written.missing);
      const finished: Finished = {
        run_id: run.run_id,
        message_id: messageIdOf(request),
        raw_file: run.raw_file,
        record_count: written.records,
        raw_sha256: written.sha256,
        source: source.name,
        finished_at: new Date(now()).toISOString(),
        ...since === undefined ? {} : { since },
        detail: { raw_file: run.raw_file, ...written, ...since === undefined ? {} : { since } },
      };
      await complete(finished, extraction);
      return finished;
    } catch (error) {
      // Only a cancellation is a permanent abort; after a lost lease or a shutdown the run can be resumed.
      if (handling.signal.reason instanceof PermanentError || error instanceof BeginAgain) {
        await discard(checkpoint);
      } else if (checkpoint.current !== undefined) await keep().catch(() => {}); // a full disk must not hide the error
      throw error;
    }
  }

  async function correct(extraction: Extraction): Promise<Finished> {
    const { request, checkpoint, source, handling } = extraction;
    const correction = request.correction!;
    const rawFile = checkpoint.correctionFile(request.run_id) ??
      await freeName(source.pipeline, checkpoint);
    await checkpoint.reserve(request.run_id, rawFile);
    await using file = await files.create(rawFile);
    let records = 0;
    for await (const line of correctedRecords(files, correction, handling.signal)) {
      await file.write(`${line}\n`);
      handling.progress({ done: ++records, total: correction.patches.length, unit: "records" });
    }
    const { bytes, sha256 } = await file.publish();
    const finished: Finished = {
      run_id: request.run_id,
      message_id: messageIdOf(request),
      raw_file: rawFile,
      record_count: records,
      raw_sha256: sha256,
      source: `dlq:${correction.of}`,
      finished_at: new Date(now()).toISOString(),
      corrects: correctedLineNumbers(correction),
      detail: { raw_file: rawFile, records, bytes, sha256, correction_of: correction.of },
    };
    await complete(finished, extraction);
    return finished;
  }

  /** The announcement is saved before the run counts as finished, so that every raw file has an announcement. */
  async function complete(finished: Finished, { documents, checkpoint }: Extraction): Promise<void> {
    await keepAnnouncement(documents, finished);
    await checkpoint.complete(finished);
  }

  /** The name for the current second, or for the next second whose name is free. */
  async function freeName(pipeline: string, checkpoint: Checkpoint): Promise<string> {
    for (let at = now();; at += 1_000) {
      const name = files.path(rawFolder(pipeline), `records_${fileTime(at)}.jsonl`);
      if (!checkpoint.reserves(name) && await files.reserve(name)) return name;
    }
  }

  async function discard(checkpoint: Checkpoint): Promise<void> {
    const { current } = checkpoint;
    if (current === undefined) return;
    await checkpoint.discard();
    await files.discard(current.raw_file);
    log.info("unfinished run is discarded", { run_id: current.run_id });
  }

  return {
    name: "extractor",
    mailbox: "channel:start_run",
    phase: "EXTRACTING",
    stallMs,
    plan,
    handle,
  };
}

interface Extraction extends ExtractorPlan {
  readonly request: StartRun;
  readonly handling: Handling;
}

/** As `sleep`. A wait that the source or the configuration requires isn't a stall, whatever its length. */
async function sleepReporting(
  sleep: Source["sleep"],
  ms: number,
  signal: AbortSignal,
  report: () => void,
): Promise<void> {
  for (let left = ms; left > 0 && !signal.aborted; left -= REPORT_EVERY_MS) {
    await sleep(Math.min(left, REPORT_EVERY_MS), signal);
    report();
  }
}

function messageIdOf(request: StartRun): string {
  return request.id ?? request.run_id;
}

async function tellSuperseded(request: StartRun, unfinished: Unfinished, handling: Handling): Promise<void> {
  const { run_id: by, last_skip } = unfinished;
  if (by === request.run_id) return;
  await handling.tell({
    to: "channel:run_events",
    name: "superseded",
    fields: {
      type: "run_superseded",
      run_id: request.run_id,
      pipeline: request.pipeline,
      by,
      actor: "extractor",
      reason:
        `Run ${by} of the same source was unfinished at record ${last_skip}; it is resumed in place of this one.`,
    },
  });
}

/** Events may have been reported up to this long after the last checkpoint, in milliseconds. */
const REPORTED_WITHIN_MS = 1_000;

/** Earlier events carry the clock time of their machine, which may have been ahead. */
function lastKnown(task: Task): string | undefined {
  if (task.do === "repeat") return task.finished.finished_at;
  const seen = task.do === "resume" ? task.unfinished.seen_at : undefined;
  return seen && new Date(Date.parse(seen) + REPORTED_WITHIN_MS).toISOString();
}

/** The message that announces a run's raw file, the same each time. */
export function phase1Of(finished: Finished): OutputOn<"channel:phase1_complete"> {
  const { run_id, raw_file, record_count, raw_sha256, source, since, corrects, detail } = finished;
  const link = corrects === undefined ? {} : { correction_of: String(detail.correction_of), corrects };
  const pipeline = pipelineOfFile(raw_file);
  const { data: completeness } = Completeness.safeParse(detail); // a correction has none
  const more = { ...since && { since }, ...completeness && { completeness }, ...link };
  const fields = { run_id, pipeline, raw_file, record_count, raw_sha256, source, ...more };
  return { to: "channel:phase1_complete", name: PHASE1, fields };
}

function doneOf(finished: Finished, { correction }: StartRun): Done {
  // a correction that an earlier version finished lacks the line numbers that it corrects
  const corrects = finished.corrects ?? (correction && correctedLineNumbers(correction));
  return { outputs: [phase1Of({ ...finished, corrects })], detail: finished.detail };
}
