/** What the API needs from outside. Its main opens these; tests pass others. */
import type { Logger } from "@logtape/logtape";
import type { Channel } from "../shared/channel/channel.ts";
import type { ConfigOf } from "../shared/config/config.ts";
import type { Pipelines } from "../shared/pipeline/load.ts";
import type { ReadEnv } from "../shared/pipeline/resolve.ts";
import type { ApiVariables } from "./config.ts";
import type { ReadStore } from "../shared/store/store.ts";

export type ApiConfig = ConfigOf<typeof ApiVariables>;

export interface AuditEntry {
  readonly at: string;
  /** Who: `token:` and the first 8 hexadecimal digits of its SHA-256, or `anonymous`. */
  readonly who: string;
  /** The address that the request came from, where it is known. */
  readonly from: string | undefined;
  readonly action: string;
  /** What it was about: a run, an actor, a dead letter. Never a record's content. */
  readonly about: Readonly<Record<string, string | number | boolean>>;
  /** The outcome: the name of the answer's type, or `Error`. */
  readonly outcome: string;
}

export interface AuditLog {
  /** Appends an entry; it is on the disk when the promise resolves. */
  append(entry: AuditEntry): Promise<void>;
}

export interface SqlAnswer {
  readonly columns: string[];
  /** The JSON array of rows in UTF-8, an object for each row. */
  readonly rows: Uint8Array;
  /** Whether a bound on rows or bytes cut the answer. */
  readonly truncated: boolean;
}

export interface SqlConsole {
  /**
   * Runs one SELECT. An abort of `signal` kills it.
   *
   * @throws SqlRefused when it is no single SELECT, is forbidden, wrong, or passes a bound.
   * @throws SqlBusy when too many queries are running and waiting.
   * @throws SqlUnavailable where there is no console, as nobody has set it up.
   */
  query(sql: string, signal: AbortSignal): Promise<SqlAnswer>;
}

export interface ApiPorts {
  readonly config: ApiConfig;
  /** Opened in each request; undefined until the saver has created the database. */
  readonly store: () => Promise<ReadStore | undefined>;
  readonly channel: Channel;
  readonly audit: AuditLog;
  readonly sql: SqlConsole;
  readonly pipelines: Pipelines;
  /** The variables that schedules name, and TZ. */
  readonly readEnv: ReadEnv;
  readonly log: Logger;
  /** The time in milliseconds since 1970. Default `Date.now`. */
  readonly clock?: () => number;
}

export interface RequestInfo {
  readonly remoteAddress?: string | undefined;
}
