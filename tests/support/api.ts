/**
 * What the tests of the API share: an app over a real database, filled by the store's own writes, and a channel.
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
import { loadTexts, tempStore } from "./store.ts";
import { type App, createApp } from "../../api/app.ts";
import { ApiVariables } from "../../api/config.ts";
import type { ApiPorts, AuditEntry } from "../../api/ports.ts";
import { openSqlConsole } from "../../api/sql/console.ts";
import type { ReadStore } from "../../shared/store/store.ts";

/** The API in a folder of its own. */
export interface TestApi extends AsyncDisposable {
  readonly app: App;
  /** The writer's side of the database. */
  readonly store: SqliteStore;
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

/** What a GraphQL operation answers. */
export interface GraphqlAnswer {
  /** The values; of unknown shape. */
  // deno-lint-ignore no-explicit-any -- a test says by what it compares with which shape it expects
  readonly data?: any;
  readonly errors?: { message: string; path?: (string | number)[]; extensions?: Record<string, unknown> }[];
}

/** The origin that tests call. */
export const ORIGIN = "http://localhost:8000";

/** Opens the API; `env` is its environment. */
export async function openApi(
  env: Record<string, string> = {},
  ports: Partial<ApiPorts> = {},
): Promise<TestApi> {
  const config = loadConfig("api", ApiVariables, env);
  await using started = new AsyncDisposableStack();
  const temp = started.use(await tempStore(env.MASK_FIELDS?.split(",") ?? usersPlan.definition.mask));
  const channel = ports.channel ?? started.use(await openTemporaryChannel());
  const reader = started.use(openSqliteToRead(temp.path) as ReadStore);
  const sql = ports.sql ?? started.use(openSqlConsole({
    path: temp.path,
    maxRows: config.SQL_MAX_ROWS,
    maxBytes: config.SQL_MAX_BYTES,
    timeoutMs: config.SQL_TIMEOUT_MS,
  }));
  const audit: AuditEntry[] = [];
  const app = createApp({
    config,
    store: () => Promise.resolve(reader),
    audit: { append: (entry) => Promise.resolve(void audit.push(entry)) },
    log: getLogger(["etl", "api"]),
    pipelines: { plans: new Map([[usersPlan.name, usersPlan]]), broken: new Map() },
    readEnv: (name) => env[name],
    ...ports,
    channel,
    sql,
  });
  const open = started.move();
  const send = (path: string, init?: RequestInit) => app.fetch(new Request(new URL(path, ORIGIN), init));
  return {
    app,
    store: temp.store,
    path: temp.path,
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
      await open[Symbol.asyncDispose]();
    },
  };
}

export interface RunToFill {
  /** Its id; a new one by default. */
  readonly runId?: string;
  readonly valid?: readonly object[];
  /** Lines of the dead-letter file. */
  readonly invalid?: readonly (object | string)[];
  /** The run that it corrects. */
  readonly correctionOf?: string;
  readonly corrects?: readonly number[];
}

/** Loads a run as the saver does; answers its id. */
export async function fillRun(store: SqliteStore, run: RunToFill = {}): Promise<string> {
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
  });
  return runId;
}

/** A valid record with personal data. */
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
