/**
 * What mutations answer when they can't do what was asked, and how they are noted.
 *
 * @module
 */
import { messageOf, TransientError } from "../../../shared/errors/errors.ts";
import type { RunRow } from "../../../shared/store/sqlite/runs.ts";
import { pause } from "../../../shared/actor/backoff.ts";
import { builder } from "../builder.ts";
import type { Context } from "../context.ts";

/** A reason why nothing was done. */
export interface Problem<Name extends string> {
  /** The name of its type. */
  readonly __typename: Name;
  /** What is wrong and what to do. */
  readonly message: string;
}

const ProblemInterface = builder.interfaceRef<{ message: string }>("Problem").implement({
  description: "Why a mutation did nothing.",
  fields: (t) => ({ message: t.exposeString("message", { description: "What is wrong, and what to do." }) }),
});

function problemType<Name extends string>(name: Name, description: string) {
  return builder.objectRef<Problem<Name>>(name).implement({ description, interfaces: [ProblemInterface] });
}

/** The channel or the database can't be reached. */
export const ServiceUnavailable = problemType(
  "ServiceUnavailable",
  "The channel can't be reached; ask again later.",
);

/** There is no such run. */
export const RunNotFound = problemType("RunNotFound", "There is no such run.");

/** The problem that there is no run `runId`. */
export function runNotFound(runId: string): Problem<"RunNotFound"> {
  return {
    __typename: "RunNotFound",
    message: `Run ${JSON.stringify(runId)} not found. Query etlRuns for those that are there.`,
  };
}

/** A run is waiting or being extracted. */
export const RunAlreadyActive = builder.objectRef<
  Problem<"RunAlreadyActive"> & { activeRunId?: string | undefined }
>(
  "RunAlreadyActive",
).implement({
  description: "A run is waiting or being extracted.",
  interfaces: [ProblemInterface],
  fields: (t) => ({
    activeRunId: t.exposeID("activeRunId", {
      nullable: true,
      description: "The one being extracted, where it is known.",
    }),
  }),
});

/** The run has come to its end. */
export const RunNotActive = problemType("RunNotActive", "The run has come to its end.");

/** The run's files aren't loaded. */
export const RunNotLoaded = problemType(
  "RunNotLoaded",
  "The run's files aren't loaded, so there is nothing to work on.",
);

/** There is no such actor. */
export const ActorNotFound = problemType("ActorNotFound", "There is no such actor.");

/** There is no such dead letter. */
export const DeadLetterNotFound = problemType(
  "DeadLetterNotFound",
  "There is no such dead letter, or not any more.",
);

/** A correction can't be used. */
export const InvalidPatch = builder.objectRef<Problem<"InvalidPatch"> & { path: string }>("InvalidPatch")
  .implement({
    description: "A correction can't be used.",
    interfaces: [ProblemInterface],
    fields: (t) => ({
      path: t.exposeString("path", { description: "Which one, such as `patches.0.patch`." }),
    }),
  });

/** Tells the members of a result's union apart. */
export function typenameOf(result: { __typename: string }): string {
  return result.__typename;
}

/** What is told about a mutation besides who did it and what came of it. */
export type About = Record<string, string | number | boolean>;

/**
 * Does `work`, and notes who did what to what, and what came of it. A transport that is away is a problem that is answered, not an error.
 * `work` may add to what is told.
 */
export async function audited<R extends { __typename: string }>(
  { ports, metrics, who, from }: Context,
  action: string,
  about: About,
  work: (about: About) => Promise<R>,
): Promise<R | Problem<"ServiceUnavailable">> {
  let outcome = "Error";
  try {
    const result = await work(about).catch((error: unknown) => {
      if (!(error instanceof TransientError)) throw error;
      return { __typename: "ServiceUnavailable" as const, message: messageOf(error) };
    });
    outcome = result.__typename;
    return result;
  } finally {
    metrics.mutations.inc({ mutation: action, outcome });
    const at = new Date((ports.clock ?? Date.now)()).toISOString();
    ports.log.info("mutation", { action, about, who, from, outcome });
    await ports.audit.append({ at, who, from, action, about: { ...about }, outcome });
  }
}

/** How long an answer waits for the recorder to have written what was just told, in milliseconds. */
const RECORDED_WITHIN_MS = 3000;

/** The run's row as soon as it is there and `enough` holds; otherwise what is there in the end. */
export async function recorded(
  { ports, signal }: Context,
  runId: string,
  enough: (run: RunRow) => boolean = () => true,
): Promise<RunRow | undefined> {
  const deadline = performance.now() + RECORDED_WITHIN_MS;
  for (let wait = 5;; wait = Math.min(wait * 2, 100)) {
    const run = ports.store()?.runs.byRunId(runId);
    if ((run !== undefined && enough(run)) || signal.aborted || performance.now() > deadline) return run;
    await pause(wait, signal);
  }
}
