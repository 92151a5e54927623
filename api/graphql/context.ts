import type { Metrics } from "../observe/metrics.ts";
import type { ApiPorts } from "../ports.ts";
import type { UntilCommit } from "../until_commit.ts";
import type { Live } from "./live.ts";
import { type Loaders, makeLoaders } from "./loaders.ts";
import type { RunRow } from "../../shared/store/rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";

/** What lasts as long as the API. */
export interface AppContext {
  readonly ports: ApiPorts;
  readonly metrics: Metrics;
  readonly live: Live;
  /** Lists of runs, as long as they are true. */
  readonly lists: UntilCommit<RunRow[]>;
  /** Aborted when the API closes. */
  readonly closing: AbortSignal;
}

/** What lasts as long as a request. */
export interface Context extends AppContext {
  /** The database; undefined while there is none. */
  readonly store: ReadStore | undefined;
  /** Reads that are gathered over a request's fields. */
  readonly loaders: Loaders;
  readonly who: string;
  /** The address that the request came from. */
  readonly from: string | undefined;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

/** Makes the context of a request. */
export async function makeContext(
  app: AppContext,
  asker: { who: string; from: string | undefined; signal: AbortSignal },
): Promise<Context> {
  const { store } = app.ports;
  return { ...app, ...asker, store: await store(), loaders: makeLoaders(store) };
}
