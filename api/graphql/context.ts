import type { Metrics } from "../observe/metrics.ts";
import type { ApiPorts } from "../ports.ts";
import type { UntilCommit } from "../until_commit.ts";
import type { Live } from "./live.ts";
import { type Loaders, makeLoaders } from "./loaders.ts";
import type { RunRow } from "../../shared/store/rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";

/** What exists as long as the API. */
export interface AppContext {
  readonly ports: ApiPorts;
  readonly metrics: Metrics;
  readonly live: Live;
  readonly lists: UntilCommit<RunRow[]>;
  readonly closing: AbortSignal;
}

/** Who sends the request, and its signal. */
export interface Asker {
  readonly who: string;
  readonly from: string | undefined;
  readonly signal: AbortSignal;
}

/** What exists as long as a request. */
export interface Context extends AppContext, Asker {
  /** Undefined before the first run. */
  readonly store: ReadStore | undefined;
  readonly loaders: Loaders;
}

export async function makeContext(app: AppContext, asker: Asker): Promise<Context> {
  const { store } = app.ports;
  return { ...app, ...asker, store: await store(), loaders: makeLoaders(store) };
}
