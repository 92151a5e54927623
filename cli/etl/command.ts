import type { GraphqlClient } from "../../api/client/graphql.ts";
import {
  type Outcome,
  PIPELINES,
  RUN,
  type Run,
  RUNS,
  STEER,
  type Steering,
} from "../../api/client/operations.ts";
import type { ReadEnv } from "../../shared/pipeline/resolve.ts";
import {
  type Columns,
  type CommandLine,
  confirmed,
  EXIT,
  print,
  say,
  table,
  unknownPipeline,
  UsageError,
} from "../command_line.ts";

/** The API refused, or the work failed. */
export class Failed extends Error {
  override readonly name: string = "Failed";
}

export interface Work {
  readonly api: GraphqlClient;
  /** The words after the command's name. */
  readonly words: readonly string[];
  readonly options: Options;
  readonly editor: string;
  readonly signal: AbortSignal;
  readonly readEnv: ReadEnv;
}

const BOOLEAN = { type: "boolean", default: false } as const;

/** The options of all commands; `COMMANDS` says which command takes which. */
export const OPTIONS = {
  json: BOOLEAN,
  yes: { ...BOOLEAN, short: "y" },
  check: BOOLEAN,
  watch: BOOLEAN,
  test: BOOLEAN,
  limit: { type: "string" },
  pipeline: { type: "string" },
  reason: { type: "string" },
  set: { type: "string", multiple: true, default: [] as string[] },
  from: { type: "string" },
  to: { type: "string" },
  name: { type: "string" },
  header: { type: "string", multiple: true, default: [] as string[] },
} as const;

export type Options = Omit<CommandLine<typeof OPTIONS>["values"], "limit"> & {
  readonly limit: number | undefined;
};

/** Default number of lines of a list, which is also the API's page length. */
export const SHOWN = 20;
const MOST = 500;

export function firstOf(limit: number = SHOWN): { first: number } {
  return { first: Math.min(limit, MOST) };
}

/** A command; returns the exit code. */
export type Command = (work: Work) => Promise<number>;

/** The run with this number or id, or the `latest`. @throws UsageError if it doesn't exist. */
export async function findRun(api: GraphqlClient, name: string | undefined): Promise<Run> {
  if (name === undefined) throw new UsageError("Which run? Give its number, its id, or latest.");
  const runId = name === "latest"
    ? (await api.ask(RUNS, { first: 1 })).etlRunsConnection.nodes[0]?.runId ?? ""
    : name;
  const { etlRun: run } = await api.ask(RUN, /^\d+$/.test(runId) ? { id: runId } : { runId });
  if (run === null) throw new UsageError(`There is no run ${JSON.stringify(name)}. See: deno task etl runs`);
  return run;
}

/** Undefined without a name. @throws UsageError, naming the existing pipelines, for an unknown one. */
export async function namedPipeline(
  api: GraphqlClient,
  name: string | undefined,
): Promise<string | undefined> {
  if (name === undefined) return undefined;
  const names = (await api.ask(PIPELINES)).pipelines.map((pipeline) => pipeline.name);
  if (names.includes(name)) return name;
  throw unknownPipeline(
    name,
    names,
    "",
    " A new definition is used after the services are restarted.",
  );
}

/** @throws Failed with the API's reason. */
export async function steer(
  api: GraphqlClient,
  what: Steering,
  variables: Record<string, string | undefined> = {},
): Promise<Outcome> {
  const { outcome } = await api.ask(STEER[what], variables);
  if (!outcome.__typename.endsWith("Success")) throw new Failed(outcome.message ?? outcome.__typename);
  return outcome;
}

/** Asks for confirmation unless `given`. @throws Failed without one. */
export function confirmOr(given: boolean, question: string): void {
  if (given || confirmed(question)) return;
  throw new Failed(
    "Not confirmed, so nothing was changed. Answer y on a terminal, or use --yes in a script.",
  );
}

/** Writes the results: one JSON object per line, or a table. */
export function listed<T>(json: boolean, found: readonly T[], columns: Columns<T>): number {
  if (json) { for (const one of found) print(one); }
  else table(found, columns);
  return EXIT.ok;
}

/** Reports what was done: as JSON, or in words. */
export function done(json: boolean, about: unknown, words: string): number {
  if (json) print(about);
  else say(words);
  return EXIT.ok;
}
