/**
 * Shows a run while it goes on: a bar for each phase on a terminal, lines elsewhere.
 *
 * @module
 */
import { Presets, SingleBar } from "cli-progress";
import type { Channel } from "../shared/channel/channel.ts";
import type { Phase, RunEvent } from "../shared/contracts/messages.ts";

/** Writes a line for people. */
export type Say = (line: string) => void;

const NAMES: Record<Phase, string> = {
  EXTRACTING: "extract",
  TRANSFORMING: "transform",
  LOADING: "load",
  DELIVERING: "deliver",
};

/** How often the directory is asked how far the work is, in milliseconds. */
const LOOK_EVERY_MS = 200;

/** Passes the events of a run on, and shows each as it comes; between them the directory's progress, on a terminal. */
export async function* showing(
  events: AsyncIterable<RunEvent>,
  channel: Channel,
  say: Say,
  terminal: boolean,
): AsyncGenerator<RunEvent> {
  const bar = terminal ? new PhaseBar(channel) : undefined;
  try {
    for await (const event of events) {
      if (event.type === "phase_started") bar?.begin(event.run_id, NAMES[event.phase]);
      else await bar?.end();
      const line = lineOf(event);
      if (line !== undefined && !(bar && event.type === "phase_started")) say(line);
      yield event;
    }
  } finally {
    await bar?.end();
  }
}

/** What an event says to a person; nothing for those that the next one makes superfluous. */
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
  }
}

/** The counts among a phase's findings, and how a delivery ended. */
function numbersOf(detail: Record<string, unknown>): string {
  const shown = Object.entries(detail).filter(([name, value]) =>
    typeof value === "number" || name === "state"
  );
  return shown.map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ");
}

/** A bar for the phase that is at work, fed from the directory. */
class PhaseBar {
  #bar: SingleBar | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(private readonly channel: Channel) {}

  begin(runId: string, phase: string): void {
    clearInterval(this.#timer);
    this.#bar?.stop();
    const format = `${phase.padEnd(10)} {bar} {percentage}% {value}/{total} {unit}`;
    this.#bar = new SingleBar({ format, clearOnComplete: true, hideCursor: true }, Presets.shades_classic);
    this.#bar.start(1, 0, { unit: "" });
    this.#timer = setInterval(() => {
      this.#looking = this.#look(runId);
    }, LOOK_EVERY_MS);
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    this.#bar?.stop();
    this.#bar = undefined;
  }

  async #look(runId: string): Promise<void> {
    const beats = await this.channel.beats().catch(() => []);
    const current = beats.find((beat) => beat.state === "working" && beat.current?.runId === runId)?.current;
    if (current === undefined || this.#bar === undefined) return;
    this.#bar.setTotal(current.total ?? Math.max(current.done, 1));
    this.#bar.update(current.done, { unit: current.unit });
  }
}
