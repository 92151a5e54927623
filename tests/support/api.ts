/**
 * Tools for tests of the API: an app over a real database, filled by the store's own writes, and a channel.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { usersPlan } from "./users.ts";
import { loadConfig } from "../../shared/config/config.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { openTemporaryChannel } from "./temporary_channel.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { openSqliteToRead, type SqliteStore } from "../../shared/store/sqlite/open.ts";
import { loadTexts, tempStore, usersTables } from "./store.ts";
import { type App, createApp } from "../../api/app.ts";
import { ApiVariables } from "../../api/config.ts";
import type { ApiConfig, ApiPorts, AuditEntry, SqlConsole } from "../../api/ports.ts";
import { openSqlConsole } from "../../api/sql/console.ts";
import { openPostgresConsole } from "../../api/sql/postgres.ts";
import { openStore, openStoreToRead } from "../../shared/store/open.ts";
import type { ReadStore, Store } from "../../shared/store/store.ts";

/** The API in a temporary folder. */
export interface TestApi<S extends Store = SqliteStore> extends AsyncDisposable {
  readonly app: App;
  readonly store: S;
  /** Path of a SQLite database. */
  readonly path: string;
  readonly channel: Channel;
  readonly audit: AuditEntry[];
  send(path: string, init?: RequestInit): Promise<Response>;
  ask(
    query: string,
    variables?: Record<string, unknown>,
    headers?: Record<string, string>,
  ): Promise<GraphqlAnswer>;
}

export interface GraphqlAnswer {
  // deno-lint-ignore no-explicit-any -- each test expects another shape
  readonly data?: any;
  readonly errors?: { message: string; path?: (string | number)[]; extensions?: Record<string, unknown> }[];
}

export const ORIGIN = "http://localhost:8000";

/** Opens the API over SQLite. `env` is its environment. */
export async function openApi(
  env: Record<string, string> = {},
  ports: Partial<ApiPorts> = {},
): Promise<TestApi> {
  await using started = new AsyncDisposableStack();
  const temp = started.use(await tempStore(env.MASK_FIELDS?.split(",") ?? usersPlan.definition.mask));
  const reader = started.use(openSqliteToRead(temp.path) as ReadStore);
  const sql = ports.sql ?? started.use(openSqlConsole({ path: temp.path, ...boundsOf(configOf(env)) }));
  const channel = ports.channel ?? started.use(await openTemporaryChannel());
  return openOver({ store: temp.store, reader, sql, env, ports, path: temp.path, channel }, started.move());
}

/** Opens the API over the PostgreSQL database at `url`. `SQL_DATABASE_URL` in `env` sets the user of its console. */
export async function openApiOnPostgres(
  url: string,
  env: Record<string, string> = {},
): Promise<TestApi<Store>> {
  await using started = new AsyncDisposableStack();
  const masked = env.MASK_FIELDS?.split(",") ?? usersPlan.definition.mask ?? [];
  const store = started.use(await openStore({ url }, usersTables(masked)));
  const reader = started.use((await openStoreToRead({ url }))!);
  const sql = openPostgresConsole({
    url: env.SQL_DATABASE_URL,
    store: () => Promise.resolve(reader),
    ...boundsOf(configOf(env)),
  });
  const channel = started.use(await openTemporaryChannel());
  return openOver({ store, reader, sql, env, ports: {}, path: "", channel }, started.move());
}

function configOf(env: Record<string, string>): ApiConfig {
  // a busy machine takes seconds to start a query
  return loadConfig("api", ApiVariables, { SQL_TIMEOUT_MS: "60000", ...env });
}

function boundsOf(config: ApiConfig) {
  return {
    maxRows: config.SQL_MAX_ROWS,
    maxBytes: config.SQL_MAX_BYTES,
    timeoutMs: config.SQL_TIMEOUT_MS,
  };
}

interface Over<S extends Store> extends Pick<TestApi<S>, "store" | "path" | "channel"> {
  readonly reader: ReadStore;
  readonly sql: SqlConsole;
  readonly env: Record<string, string>;
  readonly ports: Partial<ApiPorts>;
}

/** Opens the API over a store. Disposing of it also disposes of `owned`. */
function openOver<S extends Store>(over: Over<S>, owned: AsyncDisposable): TestApi<S> {
  const { store, path, reader, sql, env, ports, channel } = over;
  const audit: AuditEntry[] = [];
  const app = createApp({
    config: configOf(env),
    store: () => Promise.resolve(reader),
    audit: { append: (entry) => Promise.resolve(void audit.push(entry)) },
    log: getLogger(["etl", "api"]),
    pipelines: { plans: new Map([[usersPlan.name, usersPlan]]), broken: new Map() },
    readEnv: (name) => env[name],
    ...ports,
    channel,
    sql,
  });
  const send = (path: string, init?: RequestInit) => app.fetch(new Request(new URL(path, ORIGIN), init));
  return {
    app,
    store,
    path,
    channel,
    audit,
    send,
    async ask(query, variables, headers) {
      const answer = await send("/graphql", {
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/json", ...headers },
        body: JSON.stringify({ query, variables }),
      });
      return await answer.json();
    },
    async [Symbol.asyncDispose]() {
      await app.close();
      await owned[Symbol.asyncDispose]();
    },
  };
}

export interface RunToFill {
  /** Default: a new id. */
  readonly runId?: string;
  readonly valid?: readonly object[];
  /** Lines of the dead-letter file. */
  readonly invalid?: readonly (object | string)[];
  /** The run that it corrects. */
  readonly correctionOf?: string;
  readonly corrects?: readonly number[];
}

/** Loads a run as the saver does; returns its id. */
export async function fillRun(store: Store, run: RunToFill = {}): Promise<string> {
  const { runId = newRunId(), valid = [], invalid = [], correctionOf, corrects } = run;
  const at = new Date().toISOString();
  const line = (record: object | string) => typeof record === "string" ? record : JSON.stringify(record);
  await store.announceRun({ runId, pipeline: "users", at, correctionOf });
  await loadTexts(store, runId, "raw", [...valid, ...invalid].map(line));
  await loadTexts(
    store,
    runId,
    "processed",
    valid.map((record) => JSON.stringify({ ...record, department_code: "ENG" })),
  );
  await loadTexts(store, runId, "invalid", invalid.map(line));
  await store.markLoaded({
    runId,
    pipeline: "users",
    at,
    correctionOf,
    corrects,
    rawFile: "data/raw_users/records_20261124_030007.jsonl",
    processedFile: "data/processed_users/etl_20261124_030007.jsonl",
    dlqFile: "data/dlq/invalid_users_20261124_030007.jsonl",
    validCount: valid.length,
    invalidCount: invalid.length,
    completeness: { announced: null, received: valid.length + invalid.length, missing: 0, repeated: 0 },
  });
  return runId;
}

/** Returns a valid record with personal data. */
export function user(id: number): object {
  return {
    id,
    firstName: "Emily",
    email: "emily.johnson@x.dummyjson.com",
    age: 28,
    password: "emilyspass",
    ssn: "900-590-289",
    macAddress: "47:fa:41:18:ec:eb",
    bank: {
      cardNumber: "3693233511855044",
      cardExpire: "05/28",
      iban: "GB74MH2UZLR9TRPHYNU8F8",
      currency: "GBP",
    },
    company: { department: "Engineering", name: "Dooley" },
  };
}
