/** Requests a run: tell (send the request) and ask (send it and follow the run). */
import type { Channel, Outgoing } from "../channel/channel.ts";
import { newRunId } from "../contracts/ids.ts";
import { DEFAULT_PIPELINE } from "../contracts/names.ts";
import type { Correction, Moment, RunEvent } from "../contracts/messages.ts";
import { PermanentError } from "../errors/errors.ts";
import { currentTraceparent } from "../telemetry/trace.ts";
import { followPatiently, PATIENCE_MS } from "./follow.ts";
import { compose } from "./message.ts";

interface RunRequest {
  /** Default: a new one. */
  readonly runId?: string;
  /** Default `users`. */
  readonly pipeline?: string | undefined;
  /** Who requests it: `api`, `cli`, `schedule`, or a person's name. */
  readonly requestedBy: string;
  readonly actor: "api" | "cli" | "schedule";
  readonly correction?: Correction;
  /** Requests changes since then again. */
  readonly since?: Moment;
  /**
   * Requests with the same key are one request, such as `schedule/2026-11-24T03:00:00.000Z`. By default each request is
   * a new one.
   */
  readonly key?: string;
}

/** Another run waits or is being extracted, and this request may not queue behind it. */
export class RunActive extends PermanentError {
  override readonly name: string = "RunActive";

  constructor(
    /** The active run; undefined while requests wait and none is claimed. */
    readonly activeRunId: string | undefined,
    doing: "is being extracted" | "is held before its load" = "is being extracted",
  ) {
    super(
      `Cannot start a run: ${
        activeRunId === undefined ? "another one waits for the extractor" : `run ${activeRunId} ${doing}`
      }. ` +
        (doing === "is being extracted"
          ? "Wait until its extraction has ended, then request it again."
          : "Release or reject it; the waiting request starts then."),
    );
  }
}

/** The messages of a request: the request itself, and the event that reports it. */
function requestMessages(request: RunRequest): { runId: string; messages: Outgoing[] } {
  const runId = request.runId ?? newRunId();
  const key = request.key ?? `request/${newRunId()}`;
  const parent = { id: key, traceparent: currentTraceparent() };
  const { requestedBy: requested_by, correction, since, actor, pipeline = DEFAULT_PIPELINE } = request;
  return {
    runId,
    messages: [
      compose("channel:start_run", "start", {
        run_id: runId,
        requested_by,
        pipeline,
        ...(correction === undefined ? {} : { correction }),
        ...(since === undefined ? {} : { since }),
      }, parent),
      compose("channel:run_events", "requested", {
        type: "run_requested",
        run_id: runId,
        requested_by,
        actor,
        pipeline,
        ...(correction === undefined ? {} : { correction_of: correction.of }),
      }, parent),
    ],
  };
}

/**
 * Sends a request for a run and returns the run's id.
 *
 * @throws RunActive when another request waits or is being carried out, unless `queue`.
 * @throws TransientError when the channel is unavailable.
 */
export async function tell(
  channel: Channel,
  request: RunRequest,
  options: { queue?: boolean } = {},
): Promise<string> {
  const { runId, messages } = requestMessages(request);
  if (options.queue) await channel.publish(...messages);
  else if (
    !await channel.publishIfIdle(
      "channel:start_run",
      `"pipeline":"${request.pipeline ?? DEFAULT_PIPELINE}"`,
      ...messages,
    )
  ) {
    throw new RunActive(await runBeingExtracted(channel, request.pipeline ?? DEFAULT_PIPELINE));
  }
  return runId;
}

async function runBeingExtracted(channel: Channel, pipeline: string): Promise<string | undefined> {
  const beats = await channel.beats();
  return beats.find(({ actor, state, current }) =>
    actor === "extractor" && state === "working" && (current?.pipeline ?? DEFAULT_PIPELINE) === pipeline
  )?.current?.runId;
}

/**
 * Sends a request and yields the run's events, up to and including the last one. If the request resumes an unfinished run, the events of
 * that run follow.
 *
 * @throws as `tell`, and as `followPatiently`.
 */
export async function* ask(
  channel: Channel,
  request: RunRequest,
  options: { queue?: boolean; signal: AbortSignal; patienceMs?: number },
): AsyncGenerator<RunEvent> {
  const listening = new AbortController();
  try {
    const bodies = await channel.watch(
      "channel:run_events",
      AbortSignal.any([options.signal, listening.signal]),
    );
    const runId = await tell(channel, request, options);
    const { patienceMs = PATIENCE_MS } = options;
    yield* followPatiently(channel, runId, bodies, { patienceMs, stop: () => listening.abort() });
  } finally {
    listening.abort();
  }
}
