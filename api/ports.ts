/** The ports of the API. Its main module opens them; tests pass others. */
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
  /** The caller: `token:` and the first 8 hexadecimal digits of its SHA-256, or `anonymous`. */
  readonly who: string;
  /** The client's address, if it is known. */
  readonly from: string | undefined;
  readonly action: string;
  /** The subject: a run, an actor, a dead letter. Never a record's content. */
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
  /** Whether a limit on rows or bytes cut the answer. */
  readonly truncated: boolean;
}

export interface SqlConsole {
  /**
   * Runs one SELECT. An abort of `signal` kills it.
   *
   * @throws SqlRefused when the statement isn't a single SELECT, is forbidden, is invalid, or exceeds a limit.
   * @throws SqlBusy when too many queries are running and waiting.
   * @throws SqlUnavailable if no console is configured.
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
