/**
 * How a case is played: on a environment, with the promises checked at the end.
 *
 * @module
 */
import type { Handler } from "../../local/source.ts";
import type { Outcome } from "./case.ts";
import { DrillEnvironment, type DrillOptions } from "./environment.ts";
import { type Expected, verify } from "./verify.ts";

/** What a case has seen. */
export interface Played extends Expected {
  readonly happened: string;
  /** The runs that have to be whole. */
  readonly runs: readonly string[];
  /** Milliseconds from the end of the fault to the end of the run. */
  readonly recoveredMs: number;
  /** What has to stay until all is checked. */
  readonly owned?: AsyncDisposable;
}

/** Opens a environment, has `act` make its fault there, and holds the runs to their promises. */
export async function play(
  options: DrillOptions,
  act: (environment: DrillEnvironment) => Promise<Played>,
): Promise<Outcome> {
  await using environment = await DrillEnvironment.open(options);
  const { happened, runs, recoveredMs, owned, ...expected } = await act(environment);
  await using _owned = owned;
  return { happened, recoveredMs, ...await verify(environment, runs, expected) };
}

/** Milliseconds since now. */
export function stopwatch(): () => number {
  const start = performance.now();
  return () => Math.round(performance.now() - start);
}

/** How often something is repeated: `all` times, or the share `repeats` of it, but `least` times at the least. */
export function times(all: number, least: number, repeats: number): number {
  return Math.max(least, Math.round(all * repeats));
}

/** A page of the source that isn't answered until somebody lets it. */
export interface Gate {
  readonly wrap: (answer: Handler) => Handler;
  /** Resolves when the page has been asked for. */
  readonly reached: Promise<void>;
  /** Lets it be answered, and all that follow. */
  open(): void;
}

/** Holds the page at `skip` back. The environment needs an `HTTP_TIMEOUT_SECONDS` that is long enough. */
export function gateAt(skip: number): Gate {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    wrap: (answer) => async (request) => {
      if (Number(new URL(request.url).searchParams.get("skip")) === skip) {
        reached.resolve();
        await opened.promise;
      }
      return await answer(request);
    },
    reached: reached.promise,
    open: () => opened.resolve(),
  };
}
