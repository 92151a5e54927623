/**
 * A whole pipeline for a drill: the real services as processes of their own in a folder of their own, with a source, a channel and an SFTP
 * server that can be hurt.
 *
 * @module
 */
import { ensureKeys, pinHostKey } from "../../scripts/sftp/keys.ts";
import { type Environment, permissionsOf, type Service } from "../../scripts/house/services.ts";
import { type Running, start } from "../../scripts/house/supervisor.ts";
import { type RunningSource, type SourceOptions, startSource } from "../../scripts/source.ts";
import { tell } from "../../shared/actor/ask.ts";
import { pause } from "../../shared/actor/backoff.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { openChannel } from "../../shared/channel/open.ts";
import { CHANNELS } from "../../shared/contracts/channels.ts";
import type { RunStatus } from "../../shared/contracts/messages.ts";
import { openStoreReadOnly } from "../../shared/store/open.ts";
import type { RunRow } from "../../shared/store/runs.ts";
import { Line } from "../support/line.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { STANDS_STILL } from "../support/steps.ts";
import { type SmallDisk, smallDisk } from "../support/tmpfs.ts";
import { Skip } from "./case.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The services of a stage; the API only looks on, so it has no part. */
export const WORKERS = ["extractor", "transformer", "saver"] as const satisfies readonly Service[];
/** One of them. */
export type Worker = (typeof WORKERS)[number];

/** What a stage is made of. */
export interface StageOptions {
  /** The source. */
  readonly source?: SourceOptions;
  /** Default `embedded`. */
  readonly channel?: "redis" | "embedded";
  /** Variables beside, or in place of, the usual ones. */
  readonly env?: Environment;
  /** Folders that get a small disk of so many bytes. */
  readonly disks?: Partial<Record<"data" | "database" | "upload", number>>;
}

/** How a service is started. */
export interface StartOptions {
  /** Arguments after the program's name. */
  readonly args?: readonly string[];
  /** Stands still at this step; see `steps.ts`. */
  readonly stepAt?: number;
  /** Its name, where it is a second one of its kind. */
  readonly as?: string;
}

/** What a service says when it is ready to work. */
export const READY = /"message":"ready"/;

/** How long anything may take before a drill has failed, in milliseconds. */
const PATIENCE_MS = 120_000;

/** A pipeline, ready to be started and hurt. Disposing of it ends every process and removes every file. */
export class Stage implements AsyncDisposable {
  readonly #owned = new AsyncDisposableStack();
  readonly #running = new Map<string, Running>();
  readonly #lines: string[] = [];
  /** Small disks, by folder. */
  readonly disks = new Map<string, SmallDisk>();
  /** Everything else that was started. */
  env!: Environment;
  source!: RunningSource;
  redis: RedisServer | undefined;
  redisLine: Line | undefined;
  sshd!: Sshd;
  sftpLine!: Line;
  /** A connection of the drill's own to the channel. */
  channel!: Channel;

  private constructor(
    /** The working directory of all services. */
    readonly folder: string,
    /** What the source holds. */
    readonly sourceOptions: SourceOptions,
  ) {}

  /** Makes everything but the services. */
  static async open(options: StageOptions = {}): Promise<Stage> {
    const folder = await Deno.makeTempDir({ prefix: "drill-" });
    const stage = new Stage(folder, { users: 208, ...options.source });
    try {
      await stage.#build(options);
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #build(options: StageOptions): Promise<void> {
    const { folder } = this;
    const use = <T extends AsyncDisposable>(resource: T) => this.#owned.use(resource);
    this.#owned.defer(() => Deno.remove(folder, { recursive: true }));
    for (const [name, bytes] of Object.entries(options.disks ?? {})) {
      const disk = await smallDisk(`${folder}/${name}`, bytes);
      if (disk === undefined) throw new Skip("this process may not mount a disk");
      this.disks.set(name, use(disk));
    }
    this.source = use(await startSource(this.sourceOptions));
    if (options.channel === "redis") {
      this.redis = use(await startRedis());
      this.redisLine = use(await Line.to(this.redis.port));
    }
    const keys = await ensureKeys(`${folder}/ssh_keys`, { type: "ed25519" });
    this.sshd = use(await startSshd({ authorizedKey: await Deno.readTextFile(keys.publicKey) }));
    this.sftpLine = use(await Line.to(this.sshd.port));
    const { port } = this.sftpLine;
    const knownHosts = `${folder}/ssh_keys/known_hosts`;
    await pinHostKey(knownHosts, "127.0.0.1", port, this.sshd.hostKey);
    await Deno.copyFile(`${ROOT}transformer/departments.csv`, `${folder}/departments.csv`);
    this.env = {
      PATH: Deno.env.get("PATH"),
      HOME: Deno.env.get("HOME"),
      DENO_DIR: Deno.env.get("DENO_DIR"),
      API_BASE_URL: this.source.url,
      BATCH_SIZE: "50",
      SCHEDULE: "off",
      RUN_ON_START: "never",
      RETRY_DELAYS_SECONDS: "0.1",
      HTTP_TIMEOUT_SECONDS: "2",
      LEASE_SECONDS: "1",
      LOOKUP_FILE: "departments.csv",
      SFTP_HOST: "127.0.0.1",
      SFTP_PORT: String(port),
      SFTP_USER: this.sshd.user,
      SFTP_REMOTE_DIR: options.disks?.upload === undefined ? this.sshd.home : `${folder}/upload`,
      LOG_FORMAT: "json",
      ...(this.redisLine === undefined ? {} : { REDIS_URL: `redis://127.0.0.1:${this.redisLine.port}` }),
      ...options.env,
    };
    this.channel = use(
      await openChannel({
        redisUrl: this.redis?.url,
        queuePath: `${folder}/database/queue.db`,
      }),
    );
    this.#owned.defer(async () => {
      for (const name of this.#running.keys()) await this.kill(name);
    });
  }

  /** Starts services; resolves when all are ready to work. */
  async start(...workers: Worker[]): Promise<void> {
    await Promise.all(workers.map((worker) => this.begin(worker).line(READY)));
  }

  /** Starts one service and doesn't wait. */
  begin(worker: Worker, { args = [], stepAt, as = worker }: StartOptions = {}): Running {
    const preload = stepAt === undefined ? [] : ["--preload", this.#stepper(worker, stepAt)];
    const running = start({
      name: worker,
      args: [
        "run",
        "--quiet",
        "--cached-only",
        "--no-lock",
        "--no-prompt",
        "--config",
        `${ROOT}deno.json`,
        ...permissionsOf(worker, this.env),
        ...preload,
        `${ROOT}${worker}/main.ts`,
        ...args,
      ],
      env: this.env,
      cwd: this.folder,
    }, (name, line) => {
      this.#lines.push(`${name}: ${line}`);
      if (this.#lines.length > 400) this.#lines.shift();
    });
    this.#running.set(as, running);
    return running;
  }

  /** The process of a service. */
  process(name: string): Running {
    const running = this.#running.get(name);
    if (running === undefined) throw new Error(`${name} isn't running.`);
    return running;
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(name: string): Promise<void> {
    const running = this.#running.get(name);
    if (running === undefined) return;
    this.#running.delete(name);
    signal(running.pid, "SIGKILL");
    await running.ended;
  }

  /** SIGTERM; answers the exit code. */
  async stop(name: string): Promise<number> {
    const running = this.process(name);
    this.#running.delete(name);
    signal(running.pid, "SIGTERM");
    return await running.ended;
  }

  /** Asks for a run; answers its id. */
  async ask(): Promise<string> {
    return await tell(this.channel, { requestedBy: "drill", actor: "cli" }, { queue: true });
  }

  /** The run's row, once there is one. */
  run(runId: string): RunRow | undefined {
    using store = openStoreReadOnly(this.path("database/data.db"), { maskFields: [] });
    return store?.runs.byRunId(runId);
  }

  /** All runs that are known, the first one first. */
  runs(): RunRow[] {
    using store = openStoreReadOnly(this.path("database/data.db"), { maskFields: [] });
    return store?.runs.list({}, { limit: 10_000, offset: 0 }).toReversed() ?? [];
  }

  /** Waits until the run has one of these statuses. @throws Error telling what it has instead. */
  async status(runId: string, ...wanted: RunStatus[]): Promise<RunRow> {
    let last: RunRow | undefined;
    return await this.until(
      `run ${runId} is ${wanted.join(" or ")}`,
      () => {
        last = this.run(runId);
        return last !== undefined && wanted.includes(last.status) ? last : undefined;
      },
      () =>
        last === undefined
          ? "it isn't known"
          : `it is ${last.status} (${last.failure_reason ?? last.delivery_error})`,
    );
  }

  /** Waits until `look` answers something. @throws Error with the services' last lines. */
  async until<T>(
    what: string,
    look: () => T | undefined | false | Promise<T | undefined | false>,
    instead: () => string = () => "it didn't happen",
    patienceMs: number = PATIENCE_MS,
  ): Promise<T> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      if (Date.now() > deadline) {
        throw new Error(`Waited for ${what}: ${instead()}.\n${this.#lines.slice(-30).join("\n")}`);
      }
      await pause(20);
    }
  }

  /** Waits until a service has written a line that holds `text`, since the stage was opened. */
  async said(text: string): Promise<void> {
    await this.until(`a line with ${text}`, () => this.saidSo("", text));
  }

  /** Whether a service, or any (""), has written a line that holds `text`. */
  saidSo(name: string, text: string): boolean {
    return this.#lines.some((line) => line.startsWith(name) && line.includes(text));
  }

  /** Waits until a service that was begun with `stepAt` stands still; false when `done` comes first. */
  async standsStill(worker: Worker, done: () => boolean): Promise<boolean> {
    const still = this.process(worker).line(new RegExp(STANDS_STILL)).then(() => true, () => false);
    let stands: boolean | undefined;
    still.then((value) => stands = value);
    return await this.until(
      `${worker} stands still`,
      () => stands ? "still" : done() ? "done" : undefined,
    ) ===
      "still";
  }

  /** A path in the working directory. */
  path(name: string): string {
    return `${this.folder}/${name}`;
  }

  /** The folder that files are delivered to, on this machine. */
  get upload(): string {
    return this.env.SFTP_REMOTE_DIR!;
  }

  /** The dead letters of all mailboxes. */
  async dead(): Promise<{ mailbox: string; id: string; reason: string }[]> {
    const names = Object.keys(CHANNELS);
    return (await Promise.all(names.map((name) => this.channel.mailbox(name).dead({ limit: 100 })))).flat();
  }

  /** Puts all dead letters back. */
  async replay(): Promise<void> {
    for (const { mailbox, id } of await this.dead()) await this.channel.mailbox(mailbox).replay(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  #stepper(worker: Worker, stepAt: number): string {
    const path = this.path(`${worker}_steps.ts`);
    const port = worker === "saver" ? this.env.SFTP_PORT : undefined;
    Deno.writeTextFileSync(
      path,
      `import { standStillAt } from ${
        JSON.stringify(`file://${ROOT}tests/support/steps.ts`)
      };\nstandStillAt(${stepAt}, ${port});\n`,
    );
    return path;
  }
}

function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
