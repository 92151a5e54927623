import type { Channel } from "../channel/channel.ts";
import { isFinal, type RunEvent, statusAfter } from "../contracts/messages.ts";
import { TransientError } from "../errors/errors.ts";
import { decode } from "./message.ts";

/** How long to wait for a run without progress, in milliseconds. */
export const PATIENCE_MS = 1_800_000;

/** How often the directory is read for progress, in milliseconds. */
const LOOK_EVERY_MS = 1_000;

/** The events of run `runId` among `bodies` (of `channel:run_events`), up to and including the one that ends or holds it. */
export async function* follow(runId: string, bodies: AsyncIterable<string>): AsyncGenerator<RunEvent> {
  let followed = runId;
  for await (const body of bodies) {
    if (!body.includes(followed)) continue;
    const event = decode("channel:run_events", body);
    if (event.run_id !== followed) continue;
    yield event;
    if (event.type === "run_superseded") followed = event.by;
    else if (event.type === "run_held" || isFinal(statusAfter(event))) return;
  }
}

/**
 * As `follow`, for `bodies` that end with `stop`.
 *
 * @throws TransientError after `patienceMs` without an event and without progress of any actor: on the run, or, while
 * it waits, on any run.
 */
export async function* followPatiently(
  channel: Channel,
  runId: string,
  bodies: AsyncIterable<string>,
  { patienceMs, stop }: { patienceMs: number; stop: () => void },
): AsyncGenerator<RunEvent> {
  let [followed, hasStarted, seen, movedAt] = [runId, false, "", performance.now()];
  let isLate = false;
  const look = async () => {
    const beats = await channel.beats().catch(() => []);
    const work = JSON.stringify(
      beats.flatMap(({ state, instance, current }) =>
        state === "working" && (!hasStarted || current?.runId === followed) ? [[instance, current]] : []
      ),
    );
    if (work !== seen) [seen, movedAt] = [work, performance.now()];
    isLate = performance.now() - movedAt > patienceMs;
    if (isLate) stop();
  };
  let looking: Promise<void> | undefined;
  const timer = setInterval(
    () => looking ??= look().finally(() => looking = undefined),
    Math.min(LOOK_EVERY_MS, patienceMs / 2),
  );
  try {
    for await (const event of follow(runId, bodies)) {
      movedAt = performance.now();
      followed = event.type === "run_superseded" ? event.by : event.run_id;
      hasStarted ||= event.type === "phase_started";
      yield event;
    }
  } finally {
    clearInterval(timer);
    await looking;
  }
  if (isLate) {
    throw new TransientError(
      `Cannot wait for run ${followed} any longer: nothing has happened to it for ${patienceMs / 1_000} s. ` +
        `It isn't cancelled, and continues as soon as the services do. Their logs and \`deno task doctor\` say what holds it up.`,
    );
  }
}
