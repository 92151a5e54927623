/**
 * A whole pipeline in a temporary working folder: real servers, and the services as processes with the
 * permissions of their tasks.
 *
 * ```ts
 * await using pipeline = await startPipeline({ channel: "redis", sftp: "openssh", users: 500 });
 * await pipeline.start("extractor", "transformer", "saver");
 * const run = await pipeline.completed(await pipeline.tell());
 * assert.equal(pipeline.tables().processed_users, 500);
 * ```
 *
 * Only the source and the servers start automatically; unless `env` says otherwise, the schedule is off and
 * no run is requested. All waits use `until`, whose error contains the services' last lines.
 *
 * @module
 */
import { resolve } from "node:path";
import { readEnvironment } from "../../cli/env_file.ts";
import {
  commandOf,
  type Environment,
  pipelinesOf,
  type Service,
  SERVICES,
  VARIABLES,
} from "../../cli/services.ts";
import { type Running, start } from "../../cli/program.ts";
import { ensureKeys } from "../../local/sftp/keys.ts";
import { type RunningSource, type SourceOptions, startSource } from "../../local/source.ts";
import { SAMPLE_LISTS } from "../../local/source/server.ts";
import { ask, tell } from "../../shared/actor/ask.ts";
import { pause } from "../../shared/actor/backoff.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { openChannel } from "../../shared/channel/open.ts";
import { isFinal, type RunEvent, type RunStatus } from "../../shared/contracts/messages.ts";
import type { Pipelines } from "../../shared/pipeline/load.ts";
import { sqlText } from "../../shared/sqlite/database.ts";
import { type Engine, sqliteAt, type TempPlace } from "./engines.ts";
import { type RedisServer, startRedis } from "./redis.ts";
import { localSite, opensshSite, type Site } from "./site.ts";
import { taskOf } from "./task.ts";
import type { RunRow } from "../../shared/store/rows.ts";

export interface TestPipelineOptions extends SourceOptions {
  /** Default: `embedded`, the queue file. */
  readonly channel?: "embedded" | "redis";
  /** The engine for runs and records. Default: SQLite, in the working folder. */
  readonly engine?: Engine;
  /** Password of the Redis server. */
  readonly redisPassword?: string;
  /** Default: `local`, the server that comes with the pipeline. `none` leaves `SFTP_HOST` unset. */
  readonly sftp?: "local" | "openssh" | "none";
  /** Passphrase of the key that logs in. */
  readonly passphrase?: string;
  /** Variables of all services that replace the pipeline's own. */
  readonly env?: Environment;
  /** Called with the empty working folder. Disposables in `owned` are disposed of after all processes have ended. */
  readonly furnish?: (folder: string, owned: AsyncDisposableStack) => Promise<void>;
}

/** A program that has ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A line that a service wrote to standard output or standard error. */
export interface LogLine {
  readonly part: string;
  readonly text: string;
}

/** The longest wait before a test has failed, in milliseconds. */
const PATIENCE_MS = 120_000;

/** Creates the folder, the source, the channel and the SFTP server. `start` starts the services. */
export async function startPipeline(options: TestPipelineOptions = {}): Promise<TestPipeline> {
  await using owned = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "pipeline-" });
  owned.defer(() => Deno.remove(folder, { recursive: true }));
  await options.furnish?.(folder, owned);
  const source = owned.use(await startSource(options));
  const redis = options.channel === "redis"
    ? owned.use(
      await startRedis(options.redisPassword === undefined ? {} : { password: options.redisPassword }),
    )
    : undefined;
  const keys = await ensureKeys(`${folder}/ssh_keys`, { type: "ed25519", passphrase: options.passphrase });
  const open = { local: localSite, openssh: opensshSite, none: () => undefined }[options.sftp ?? "local"];
  const { engine } = options;
  const place = engine?.isShared ? owned.use(await engine.place()) : sqliteAt(`${folder}/database/data.db`);
  const site = await open({ folder, publicKey: keys.publicKey });
  if (site !== undefined) owned.use(site);
  const env: Environment = {
    ...await bareEnvironment(),
    ...Object.fromEntries(
      Object.entries(SAMPLE_LISTS).map(([name, list]) => [name, new URL(`/${list}`, source.url).href]),
    ),
    API_PORT: "0",
    SCHEDULE: "off",
    RUN_ON_START: "never",
    RETRY_DELAYS_SECONDS: "0",
    LEASE_SECONDS: "3",
    LOG_FORMAT: "json",
    REDIS_URL: redis?.url,
    DATABASE_URL: "url" in place.at ? place.at.url : undefined,
    SFTP_KEY_PASSPHRASE: options.passphrase,
    ...site?.env,
    ...options.env,
  };
  if (env.PIPELINES_DIR) env.PIPELINES_DIR = resolve(folder, env.PIPELINES_DIR);
  const queuePath = `${folder}/database/queue.db`;
  const channel = owned.use(await openChannel({ redisUrl: redis?.url, queuePath }));
  const pipelines = await pipelinesOf(env);
  return new TestPipeline({ folder, env, pipelines, source, redis, site, channel, place }, owned.move());
}

/** Returns this process's environment without the pipeline's variables. */
export async function bareEnvironment(): Promise<Record<string, string>> {
  const ours = new Set(Object.values(VARIABLES).flatMap((variables) => Object.keys(variables)));
  const theirs = Object.entries(await readEnvironment("/dev/null")).filter((
    entry,
  ): entry is [string, string] => entry[1] !== undefined && !ours.has(entry[0]));
  return { ...Object.fromEntries(theirs), NO_COLOR: "1" };
}

interface Parts {
  readonly folder: string;
  readonly env: Environment;
  readonly pipelines: Pipelines;
  readonly source: RunningSource;
  readonly redis: RedisServer | undefined;
  readonly site: Site | undefined;
  readonly channel: Channel;
  readonly place: Omit<TempPlace, typeof Symbol.asyncDispose>;
}

/** A pipeline; see the module. Disposing of it ends every process and removes every file. */
export class TestPipeline implements AsyncDisposable {
  /** The working folder of all services. */
  readonly folder: string;
  /** The variables for services that start from now on. Can be changed. */
  readonly env: Environment;
  /** The definitions for services. */
  readonly pipelines: Pipelines;
  readonly source: RunningSource;
  /** The Redis server, if there is one. */
  readonly redis: RedisServer | undefined;
  /** The SFTP server, if there is one. */
  readonly site: Site | undefined;
  /** The test's own connection to the channel. */
  readonly channel: Channel;
  /** Where its runs and records are. */
  readonly place: Parts["place"];
  readonly #running = new Map<string, Running>();
  readonly #lines: LogLine[] = [];
  readonly #gone = new AbortController();

  constructor(parts: Parts, private readonly owned: AsyncDisposable) {
    ({
      folder: this.folder,
      env: this.env,
      pipelines: this.pipelines,
      source: this.source,
      redis: this.redis,
      site: this.site,
      channel: this.channel,
      place: this.place,
    } = parts);
  }

  /** Starts services with the least permissions that the configuration needs; resolves once all are ready. */
  async start(...services: Service[]): Promise<void> {
    await Promise.all(services.map((service) => this.begin(service).line(/"message":"ready"/)));
  }

  /** Starts a service without waiting. */
  begin(service: Service, ...args: string[]): Running {
    return this.spawn(service, commandOf(service, this.env, this.pipelines, args));
  }

  /** Starts `deno task NAME`, with the task's permissions, without waiting. */
  beginTask(name: string, ...args: string[]): Running {
    return this.spawn(name, [...taskOf(name), ...args]);
  }

  /** Starts `deno` with these arguments and the pipeline's variables, under this name. */
  spawn(name: string, args: string[]): Running {
    const running = start({ name, args, env: this.env, cwd: this.folder }, (part, text) => {
      this.#lines.push({ part, text });
    });
    this.#running.set(name, running);
    void running.ended.then(() => this.#running.get(name) === running && this.#running.delete(name));
    return running;
  }

  /** Runs `deno task NAME` with the task's permissions, and waits until it ends. */
  async task(name: string, ...args: string[]): Promise<Ended> {
    const set = Object.entries(this.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...taskOf(name), ...args],
      cwd: this.folder,
      env: Object.fromEntries(set),
      clearEnv: true,
      stdin: "null",
      signal: AbortSignal.timeout(2 * PATIENCE_MS),
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
    this.#lines.push(...`${out}\n${err}`.split("\n").map((text) => ({ part: name, text })));
    return { code, stdout: out, stderr: err };
  }

  /** Returns the process of a started service. */
  process(service: string): Running {
    const running = this.#running.get(service);
    if (running === undefined) throw new Error(`${service} isn't running.`);
    return running;
  }

  signal(service: string, signal: Deno.Signal): void {
    Deno.kill(this.process(service).pid, signal);
  }

  /** Sends SIGKILL; resolves once the processes are gone. */
  async kill(...services: string[]): Promise<void> {
    for (const service of services) {
      const { ended } = this.process(service);
      this.signal(service, "SIGKILL");
      await ended;
      this.#running.delete(service);
    }
  }

  /** Sends SIGTERM, and SIGKILL if it doesn't end in the time that the supervisor allows; returns the exit code. */
  async stop(service: string): Promise<number> {
    const code = await this.process(service).stop();
    this.#running.delete(service);
    return code;
  }

  /** Requests a run; returns its id at once. */
  tell(pipeline?: string): Promise<string> {
    return tell(this.channel, { requestedBy: "test", actor: "cli", pipeline }, { queue: true });
  }

  /** Requests a run; returns its events once it has ended. */
  ask(): Promise<RunEvent[]> {
    const signal = AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), this.#gone.signal]);
    return Array.fromAsync(
      ask(this.channel, { requestedBy: "test", actor: "cli" }, { queue: true, signal }),
    );
  }

  /** Waits until the run, or the only run, is complete. @throws Error if it fails or doesn't end. */
  completed(runId?: string): Promise<RunRow> {
    return this.status("COMPLETED", runId);
  }

  /**
   * Waits until the run, or the only run, has this status. If an unfinished run is resumed in its place,
   * waits for that one.
   *
   * @throws Error if it ends with another status.
   */
  async status(wanted: RunStatus, runId?: string): Promise<RunRow> {
    let last: RunRow | undefined;
    return await this.until(`run ${runId ?? ""} ${wanted}`, () => {
      last = this.run(runId);
      if (last?.status === wanted) return last;
      if (last !== undefined && isFinal(last.status)) {
        throw new Error(`Run ${last.run_id} is ${last.status}, wanted ${wanted}: ${last.failure_reason}`);
      }
    }, () => `it is ${last?.status ?? "unknown"} (${last?.delivery_error ?? last?.failure_reason})`);
  }

  /**
   * Returns the row of the run, or of the newest one. If an unfinished run is resumed in its place, returns
   * that one's row.
   */
  run(runId?: string): RunRow | undefined {
    const runs = this.runs();
    const run = runId === undefined ? runs[0] : runs.find((run) => run.run_id === runId);
    return run?.superseded_by == null ? run : this.run(run.superseded_by);
  }

  /** Returns the rows of all runs, newest first. */
  runs(): RunRow[] {
    return this.sql<RunRow>("SELECT * FROM etl_runs ORDER BY id DESC");
  }

  /** Returns the run's events from the database. */
  events(runId: string): RunEvent[] {
    return this.sql<{ body: string }>(
      `SELECT body FROM run_events WHERE run_id = ${sqlText(runId)} ORDER BY at, seq`,
    ).map(({ body }) => JSON.parse(body));
  }

  /** Returns the rows of a query by a client of the database; none before the database exists. */
  sql<Row = Record<string, unknown>>(query: string): Row[] {
    return this.place.rows<Row>(query);
  }

  /** Returns the number of rows in each table of users. */
  tables(): Record<"raw_users" | "processed_users" | "invalid_users", number> {
    const count = (table: string) => this.sql<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)[0]?.n ?? 0;
    const [raw, processed, invalid] = ["raw_users", "processed_users", "invalid_users"].map(count);
    return { raw_users: raw!, processed_users: processed!, invalid_users: invalid! };
  }

  /** Returns the data files as messages name them, sorted. */
  async dataFiles(): Promise<string[]> {
    const files = await Promise.all(
      ["raw_users", "processed_users", "dlq"].map(async (kind) =>
        (await namesIn(`${this.folder}/data/${kind}`)).map((name) => `data/${kind}/${name}`)
      ),
    );
    return files.flat().sort();
  }

  /** Returns the data files that aren't complete yet. */
  async partFiles(): Promise<string[]> {
    return (await this.dataFiles()).filter((name) => name.endsWith(".part"));
  }

  /** Returns the names of the delivered files, including incomplete ones, sorted. */
  async remoteFiles(): Promise<string[]> {
    return this.site === undefined ? [] : (await namesIn(this.site.disk)).sort();
  }

  /** Returns the lines of a file in the working folder. */
  async lines(path: string): Promise<string[]> {
    return (await Deno.readTextFile(`${this.folder}/${path}`)).split("\n").slice(0, -1);
  }

  /** Returns everything that services and tasks have written. */
  logs(): readonly LogLine[] {
    return this.#lines;
  }

  /** Waits until a service has written a matching line, since the pipeline was started. */
  async logged(pattern: RegExp, part?: string): Promise<LogLine> {
    return await this.until(
      `a line that matches ${pattern}`,
      () => this.#lines.find((line) => pattern.test(line.text) && (part ?? line.part) === line.part),
    );
  }

  /** Waits until `look` returns a value. @throws Error with the services' last lines after the limit. */
  async until<T>(
    what: string,
    look: () => T | undefined | false | Promise<T | undefined | false>,
    instead: () => string = () => "it didn't happen",
    patienceMs: number = PATIENCE_MS,
  ): Promise<T> {
    using _open = this.place.keepOpen();
    const start = Date.now(), deadline = start + patienceMs;
    for (;;) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      if (Date.now() > deadline || this.#gone.signal.aborted) {
        const lines = this.#lines.slice(-30).map(({ part, text }) => `${part}: ${text}`);
        throw new Error(`Waited for ${what}: ${instead()}.\n${lines.join("\n")}`);
      }
      await pause(Math.min(10 + (Date.now() - start) / 20, 50)); // a look costs as much as the work that it waits for
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gone.abort();
    await Promise.all(
      [...this.#running].map(([name, running]) =>
        SERVICES.some((service) => name.startsWith(service)) ? this.kill(name) : running.stop()
      ),
    );
    await this.owned[Symbol.asyncDispose]();
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
