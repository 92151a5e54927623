import { Presets, SingleBar } from "cli-progress";
import type { Channel } from "../shared/channel/channel.ts";
import type { Phase, RunEvent } from "../shared/contracts/messages.ts";

const NAMES: Record<Phase, string> = {
  EXTRACTING: "extract",
  TRANSFORMING: "transform",
  LOADING: "load",
  DELIVERING: "deliver",
};

/** How often the progress is read from the directory, in milliseconds. */
const LOOK_EVERY_MS = 200;

/**
 * Yields the events of a run, and shows each one as it arrives; between them, on a terminal, the progress from the
 * directory.
 */
export async function* showing(
  events: AsyncIterable<RunEvent>,
  channel: Channel,
  say: (line: string) => void,
  terminal: boolean,
): AsyncGenerator<RunEvent> {
  const bar = new ProgressBar();
  let looking = Promise.resolve();
  let runId = "";
  const look = async () => {
    const beats = await channel.beats().catch(() => []);
    const beat = beats.find(({ state, current }) => state === "working" && current?.runId === runId);
    if (beat?.current !== undefined) bar.show(beat.actor, beat.current);
  };
  const timer = terminal ? setInterval(() => looking = look(), LOOK_EVERY_MS) : undefined;
  try {
    for await (const event of events) {
      runId = event.run_id;
      bar.clear();
      const line = lineOf(event);
      if (line !== undefined && !(terminal && event.type === "phase_started")) say(line);
      yield event;
    }
  } finally {
    clearInterval(timer);
    await looking;
    bar.clear();
  }
}

/** An event as text for people; undefined for events that the next one makes redundant. */
function lineOf(event: RunEvent): string | undefined {
  switch (event.type) {
    case "run_requested":
      return `run ${event.run_id} requested`;
    case "phase_started":
      return event.attempt === 1
        ? `${NAMES[event.phase]} …`
        : `${NAMES[event.phase]}, try ${event.attempt} …`;
    case "phase_retrying":
      return `${NAMES[event.phase]} failed, next try in ${
        Math.ceil(event.retry_after_ms / 1000)
      } s: ${event.reason}`;
    case "phase_completed":
      return `${NAMES[event.phase]} done: ${numbersOf(event.detail)}`;
    case "run_failed":
      return `${NAMES[event.phase]} failed: ${event.reason}`;
    case "run_superseded":
      return event.reason;
    case "run_cancelled":
      return `cancelled by ${event.requested_by}`;
    case "run_held":
      return `held: ${event.reason}`;
    case "run_released":
      return `released by ${event.requested_by}`;
    case "run_rejected":
      return `rejected by ${event.requested_by}`;
  }
}

/** Findings that are texts: the state of a delivery, and why a run was restarted. */
const WORDS = ["state", "began_again"];

/** The counts among a phase's findings, and the texts. */
export function numbersOf(detail: Record<string, unknown>): string {
  return Object.entries(detail).filter(([name, value]) => typeof value === "number" || WORDS.includes(name))
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ");
}

/** A bar for the current work, below the lines. */
export class ProgressBar {
  #bar: SingleBar | undefined;

  show(
    actor: string,
    { done, total, unit }: { done: number; total?: number | null | undefined; unit: string },
  ) {
    if (this.#bar === undefined) {
      const format = "{actor} {bar} {percentage}% {value}/{total} {unit}";
      this.#bar = new SingleBar({ format, clearOnComplete: true, hideCursor: true }, Presets.shades_classic);
      this.#bar.start(1, 0, { actor, unit });
    }
    this.#bar.setTotal(total ?? Math.max(done, 1));
    this.#bar.update(done, { actor, unit });
  }

  clear(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
