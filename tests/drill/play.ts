/**
 * Plays a case in an environment and checks the promises at the end.
 *
 * @module
 */
import type { Handler } from "../../local/source.ts";
import type { Outcome } from "./case.ts";
import { DrillEnvironment, type DrillOptions } from "./environment.ts";
import { type Expected, verify } from "./verify.ts";

/** The result of a case. */
export interface Played extends Expected {
  readonly happened: string;
  /** The runs to check. */
  readonly runs: readonly string[];
  /** Milliseconds from the end of the fault to the end of the run. */
  readonly recoveredMs: number;
  /** Disposed of after all checks. */
  readonly owned?: AsyncDisposable;
}

/** Opens an environment, injects the fault with `act`, and checks the runs. */
export async function play(
  options: DrillOptions,
  act: (environment: DrillEnvironment) => Promise<Played>,
): Promise<Outcome> {
  await using environment = await DrillEnvironment.open(options);
  const { happened, runs, recoveredMs, owned, ...expected } = await act(environment);
  await using _owned = owned;
  return { happened, recoveredMs, ...await verify(environment, runs, expected) };
}

/** Returns a function that returns the milliseconds since now. */
export function stopwatch(): () => number {
  const start = performance.now();
  return () => Math.round(performance.now() - start);
}

/** Returns the number of repetitions: the share `repeats` of `all`, but at least `least`. */
export function times(all: number, least: number, repeats: number): number {
  return Math.max(least, Math.round(all * repeats));
}

/** A page of the source that isn't served until the gate is opened. */
export interface Gate {
  readonly wrap: (answer: Handler) => Handler;
  /** Resolves once the page has been requested. */
  readonly reached: Promise<void>;
  /** Serves the page and all that follow. */
  open(): void;
}

/** Holds the page at `skip` back. The environment needs a sufficiently long `HTTP_TIMEOUT_SECONDS`. */
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
