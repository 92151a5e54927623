/**
 * Following a run to its end.
 *
 * @module
 */
import { Presets, SingleBar } from "cli-progress";
import { type GraphqlClient, Unreachable } from "../../api/client/graphql.ts";
import { type Actor, ACTORS, type Event, RUN, type Run, RUN_EVENTS } from "../../api/client/operations.ts";
import { PATIENCE_MS } from "../../shared/actor/follow.ts";
import { isFinal } from "../../shared/contracts/phases.ts";
import { complain, EXIT, isTerminal, print, say } from "../command_line.ts";
import { Failed, type Work } from "./command.ts";

/** How often a run is read besides its events, in milliseconds: an event is published before it is in the database. */
const LOOK_EVERY_MS = 500;

/** Shows what happens to a run until its end; answers the exit code. A run that was resumed in its place is followed in turn. */
export async function followRun({ api, options: { json }, signal }: Work, runId: string): Promise<number> {
  const gone = new AbortController();
  const bell = new Bell();
  const until = AbortSignal.any([signal, gone.signal]);
  const listening = listen(api, until, () => bell.ring());
  const bar = isTerminal && !json ? new Bar(api) : undefined;
  const shown = new Set<string>();
  let [movedAt, work] = [performance.now(), ""];
  try {
    for (;;) {
      if (signal.aborted) throw new Failed(`Stopped following; run ${runId} continues.`);
      const run = await read(api, runId);
      for (const event of run?.events ?? []) {
        if (shown.has(event.id)) continue;
        shown.add(event.id);
        movedAt = performance.now();
        bar?.clear();
        if (json) print(event);
        else say(lineOf(event));
      }
      if (run?.supersededBy) runId = run.supersededBy.runId;
      else if (run && isFinal(run.status)) return ended(run, json);
      if (performance.now() - movedAt > PATIENCE_MS && run?.status !== "DELIVERY_PENDING") {
        const now = await workOn(api, runId);
        if (now === work) {
          throw new Failed(
            `Stopped following: run ${runId} makes no progress. It isn't cancelled; \`deno task doctor\` may say what holds it up.`,
          );
        }
        [movedAt, work] = [performance.now(), now];
      }
      await bar?.show(runId);
      await bell.rung(LOOK_EVERY_MS);
    }
  } finally {
    bar?.clear();
    gone.abort();
    await listening;
  }
}

/** How far the instances are that work on the run, to be compared with a later answer. */
async function workOn(api: GraphqlClient, runId: string): Promise<string> {
  const answer = await api.ask(ACTORS).catch(() => undefined);
  const current = answer?.actors.flatMap(({ instances }) => instances.map(({ currentRun }) => currentRun));
  return JSON.stringify(current?.filter((run) => run?.runId === runId)) ?? "";
}

/** The run; undefined while the recorder hasn't written it, or the API is away for a while. */
async function read(api: GraphqlClient, runId: string): Promise<Run | undefined> {
  try {
    return (await api.ask(RUN, { runId })).etlRun ?? undefined;
  } catch (error) {
    if (error instanceof Unreachable) return undefined;
    throw error;
  }
}

async function listen(api: GraphqlClient, signal: AbortSignal, ring: () => void): Promise<void> {
  try {
    for await (const _event of api.follow(RUN_EVENTS, {}, signal)) ring();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function ended(run: Run, json: boolean): number {
  if (run.status === "COMPLETED") {
    if (!json) say(`Run ${run.id} COMPLETED: ${run.validCount} valid, ${run.invalidCount} invalid`);
    return EXIT.ok;
  }
  complain(`Run ${run.id} FAILED: ${run.failure?.reason ?? "unknown"}`);
  return EXIT.failed;
}

/** What an event says to a person. */
export function lineOf({ at, type, phase, actor, reason, detail }: Event): string {
  const counts = Object.entries(detail ?? {})
    .filter(([name, value]) => typeof value === "number" || name === "state")
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ");
  const parts = [at.slice(11, 23), actor, type.replaceAll("_", " "), phase?.toLowerCase(), reason ?? counts];
  return parts.filter((part) => part).join("  ");
}

class Bell {
  #wake: () => void = () => {};
  #rung = false;

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  /** Resolves when it was rung since the last time, and after `ms` in any case. */
  async rung(ms: number): Promise<void> {
    if (!this.#rung) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#rung = false;
  }
}

/** A bar for what is being worked on, below the lines. */
class Bar {
  #bar: SingleBar | undefined;

  constructor(private readonly api: GraphqlClient) {}

  async show(runId: string): Promise<void> {
    const { actors } = await this.api.ask(ACTORS).catch(() => ({ actors: [] as readonly Actor[] }));
    for (const { name, instances } of actors) {
      const current = instances.find(({ currentRun }) => currentRun?.runId === runId)?.currentRun;
      if (current == null) continue;
      if (this.#bar === undefined) {
        const format = "{actor} {bar} {percentage}% {value}/{total} {unit}";
        this.#bar = new SingleBar(
          { format, clearOnComplete: true, hideCursor: true },
          Presets.shades_classic,
        );
        this.#bar.start(1, 0, { actor: name, unit: current.unit });
      }
      this.#bar.setTotal(current.total ?? Math.max(current.records, 1));
      this.#bar.update(current.records, { actor: name, unit: current.unit });
    }
  }

  clear(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
