import { type GraphqlClient, Unreachable } from "../../api/client/graphql.ts";
import { ACTORS, type Event, RUN, type Run, RUN_EVENTS } from "../../api/client/operations.ts";
import { PATIENCE_MS } from "../../shared/actor/follow.ts";
import { isFinal } from "../../shared/contracts/phases.ts";
import { complain, EXIT, isTerminal, print, say } from "../command_line.ts";
import { numbersOf, ProgressBar } from "../progress.ts";
import { Failed, type Work } from "./command.ts";

/** How often a run is read besides its events, in milliseconds: an event is published before it is in the database. */
const LOOK_EVERY_MS = 500;

/** Shows a run's events until its end; returns the exit code. If the run is superseded, follows the other one. */
export async function followRun({ api, options: { json }, signal }: Work, runId: string): Promise<number> {
  const gone = new AbortController();
  let news = Promise.withResolvers<void>();
  const until = AbortSignal.any([signal, gone.signal]);
  const listening = listen(api, until, () => news.resolve());
  const bar = isTerminal && !json ? new ProgressBar() : undefined;
  const shown = new Set<string>();
  let [movedAt, work] = [performance.now(), ""];
  try {
    for (;;) {
      if (signal.aborted) throw new Failed(`Stopped following; run ${runId} continues.`);
      news = Promise.withResolvers();
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
      else if (run && (isFinal(run.status) || run.status === "HELD")) return ended(run, json);
      if (performance.now() - movedAt > PATIENCE_MS && run?.status !== "DELIVERY_PENDING") {
        const now = JSON.stringify(await workOn(api, runId));
        if (now === work) {
          throw new Failed(
            `Stopped following: run ${runId} makes no progress. It isn't cancelled; \`deno task doctor\` may say what holds it up.`,
          );
        }
        [movedAt, work] = [performance.now(), now];
      }
      if (bar !== undefined) {
        for (const { name, current } of await workOn(api, runId)) {
          bar.show(name, { ...current, done: current.records });
        }
      }
      const timer = setTimeout(news.resolve, LOOK_EVERY_MS);
      await news.promise;
      clearTimeout(timer);
    }
  } finally {
    bar?.clear();
    gone.abort();
    await listening;
  }
}

/** The work on the run; none while the API is unavailable. */
async function workOn(api: GraphqlClient, runId: string) {
  const { actors } = await api.ask(ACTORS).catch(() => ({ actors: [] }));
  return actors.flatMap(({ name, instances }) =>
    instances.flatMap(({ currentRun: current }) => current?.runId === runId ? [{ name, current }] : [])
  );
}

/** Undefined while the recorder hasn't written the run, or the API is unavailable. */
async function read(api: GraphqlClient, runId: string): Promise<Run | undefined> {
  try {
    return (await api.ask(RUN, { runId })).etlRun ?? undefined;
  } catch (error) {
    if (error instanceof Unreachable) return undefined;
    throw error;
  }
}

/** Events only save time: without them, reading the run shows its progress, or reports the problem. */
async function listen(api: GraphqlClient, signal: AbortSignal, ring: () => void): Promise<void> {
  try {
    for await (const _event of api.follow(RUN_EVENTS, signal)) ring();
  } catch {
    return;
  }
}

function ended(run: Run, json: boolean): number {
  if (run.status === "COMPLETED") {
    if (!json) say(`Run ${run.id} COMPLETED: ${run.validCount} valid, ${run.invalidCount} invalid`);
    return EXIT.ok;
  }
  if (run.status === "HELD") {
    complain(`Run ${run.id} is HELD. ${run.hold?.reason ?? ""} See: deno task etl show ${run.id}`);
    return EXIT.failed;
  }
  complain(`Run ${run.id} FAILED: ${run.failure?.reason ?? "unknown"}`);
  return EXIT.failed;
}

export function lineOf({ at, type, phase, actor, reason, requestedBy, detail }: Event): string {
  const what = reason ?? (requestedBy === null ? numbersOf(detail ?? {}) : `by ${requestedBy}`);
  const parts = [at.slice(11, 23), actor, type.replaceAll("_", " "), phase?.toLowerCase(), what];
  return parts.filter((part) => part).join("  ");
}
