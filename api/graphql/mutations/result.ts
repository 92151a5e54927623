/** The answers of mutations, including the failures, and their audit. */
import type { ObjectRef } from "@pothos/core";
import { messageOf, TransientError } from "../../../shared/errors/errors.ts";
import { pause } from "../../../shared/actor/backoff.ts";
import type { Parent } from "../../../shared/actor/message.ts";
import type { RunRow } from "../../../shared/store/rows.ts";
import { currentTraceparent } from "../../../shared/telemetry/trace.ts";
import { builder, type Types } from "../builder.ts";
import type { Context } from "../context.ts";
import type { ReadStore } from "../../../shared/store/store.ts";

export interface Problem<Name extends string> {
  readonly __typename: Name;
  readonly message: string;
}

const ProblemInterface = builder.interfaceRef<{ message: string }>("Problem").implement({
  description: "Why a mutation changed nothing.",
  fields: (t) => ({ message: t.exposeString("message", { description: "What is wrong, and what to do." }) }),
});

export function problem<Name extends string>(name: Name, message: string): Problem<Name> {
  return { __typename: name, message };
}

function problemType<Name extends string>(name: Name, description: string) {
  return builder.objectRef<Problem<Name>>(name).implement({ description, interfaces: [ProblemInterface] });
}

const ServiceUnavailable = problemType(
  "ServiceUnavailable",
  "The channel can't be reached; ask again later.",
);

export const RunNotFound = problemType("RunNotFound", "There is no such run.");

export function runNotFound(runId: string): Problem<"RunNotFound"> {
  return problem(
    "RunNotFound",
    `Run ${JSON.stringify(runId)} not found. Query etlRuns for the existing ones.`,
  );
}

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

export const RunNotActive = problemType("RunNotActive", "The run has ended.");

export const RunNotLoaded = problemType(
  "RunNotLoaded",
  "The run's files aren't loaded, so there is nothing to work on.",
);

export const RunNotHeld = problemType(
  "RunNotHeld",
  "The run isn't held, or somebody else has decided on it.",
);

export const ActorNotFound = problemType("ActorNotFound", "There is no such actor.");

export const DeadLetterNotFound = problemType(
  "DeadLetterNotFound",
  "There is no such dead letter.",
);

export const InvalidPatch = builder.objectRef<Problem<"InvalidPatch"> & { path: string }>("InvalidPatch")
  .implement({
    description: "A correction can't be used.",
    interfaces: [ProblemInterface],
    fields: (t) => ({
      path: t.exposeString("path", { description: "Which one, such as `patches.0.patch`." }),
    }),
  });

/** The union `<Mutation>Result` of `types` and `ServiceUnavailable`, which every mutation can answer. */
export function resultType<Shapes extends { __typename: string }[]>(
  mutation: string,
  ...types: { [Index in keyof Shapes]: ObjectRef<Types, Shapes[Index]> }
) {
  const members: readonly ObjectRef<Types, Shapes[number] | Problem<"ServiceUnavailable">>[] = [
    ...types as ObjectRef<Types, Shapes[number]>[],
    ServiceUnavailable,
  ];
  return builder.unionType(`${capital(mutation)}Result`, {
    description: `The outcome of \`${mutation}\`.`,
    types: [...members],
    resolveType: ({ __typename }) => __typename,
  });
}

/**
 * The parent of an order about a run. The order gets a later time than all known events of the run, whatever the clocks
 * said.
 */
export function orderParent(id: string, run: RunRow): Parent {
  return { id, published_at: run.status_at, traceparent: currentTraceparent() };
}

export function capital(name: string): string {
  return name[0]!.toUpperCase() + name.slice(1);
}

type About = Record<string, string | number | boolean>;

/**
 * Does `work` and audits it: who did what to what, with which outcome. An unreachable channel is answered as
 * `ServiceUnavailable`, not as an error. `work` may add to `about`.
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
      return problem("ServiceUnavailable", messageOf(error));
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

/** How long an answer waits for the saver, in milliseconds. */
const SEEN_WITHIN_MS = 3000;

/** The result of `read` as soon as `isEnough` accepts it; after `SEEN_WITHIN_MS` the last result. */
export async function seen<T>(
  { ports, signal }: Context,
  read: (store: ReadStore) => Promise<T | undefined>,
  isEnough: (found: T) => boolean = () => true,
): Promise<T | undefined> {
  const deadline = performance.now() + SEEN_WITHIN_MS;
  for (let wait = 5;; wait = Math.min(wait * 2, 100)) {
    const store = await ports.store();
    const found = store && await read(store);
    const isDone = found !== undefined && isEnough(found);
    if (isDone || signal.aborted || performance.now() > deadline) return found;
    await pause(wait, signal);
  }
}
