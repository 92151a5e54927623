/**
 * A pipeline for a drill. Its connections can be cut and held, its folders can be on small disks, and its
 * services can be stopped at any step.
 *
 * @module
 */
import { commandOf, programPath, type Service } from "../../cli/services.ts";
import type { Running } from "../../cli/program.ts";
import type { SourceOptions } from "../../local/source.ts";
import { CHANNELS } from "../../shared/contracts/channels.ts";
import type { RunStatus } from "../../shared/contracts/messages.ts";
import { startPipeline, type TestPipeline, type TestPipelineOptions } from "../support/test_pipeline.ts";
import { Line } from "../support/line.ts";
import { STANDS_STILL } from "../support/steps.ts";
import { type SmallDisk, smallDisk } from "../support/tmpfs.ts";
import { Skip } from "./case.ts";
import type { RunRow } from "../../shared/store/rows.ts";

/** The services that process runs. */
export const WORKERS = ["extractor", "transformer", "saver"] as const satisfies readonly Service[];
export type Worker = (typeof WORKERS)[number];

/** The log line of a service that is ready. */
export const READY = /"message":"ready"/;

/** The options of an environment. */
export interface DrillOptions extends Omit<TestPipelineOptions, "furnish"> {
  /** Folders on a small disk, with its size in bytes. `upload` is the folder for delivered files. */
  readonly disks?: Partial<Record<"data" | "database" | "queue" | "upload", number>>;
}

const STEPS = new URL("../support/steps.ts", import.meta.url).href;
const SFTP_WORKER = new URL("../../saver/delivery/sftp_worker_thread.ts", import.meta.url).href;

/** The longest wait before a drill has failed, in milliseconds. */
const PATIENCE_MS = 120_000;

/** A pipeline for faults. Disposing of it ends every process and removes every file. */
export class DrillEnvironment implements AsyncDisposable {
  static readonly #open = new Set<DrillEnvironment>();
  #closing: PromiseLike<void> | undefined;

  private constructor(
    readonly pipeline: TestPipeline,
    readonly source: SourceOptions,
    /** The small disks, by folder. */
    readonly disks: ReadonlyMap<string, SmallDisk>,
    /** The line from the services to Redis. The drill's own channel bypasses it. */
    readonly redisLine: Line | undefined,
    /** The line from the saver to the SFTP server. */
    readonly sftpLine: Line | undefined,
    /** The line from the services to PostgreSQL. The drill's own queries bypass it. */
    readonly databaseLine: Line | undefined,
    private readonly owned: AsyncDisposable,
  ) {}

  /** Creates everything except the services. Uses OpenSSH as the server unless `options` say otherwise. */
  static async open({ disks = {}, ...options }: DrillOptions = {}): Promise<DrillEnvironment> {
    await using owned = new AsyncDisposableStack();
    const mounted = new Map<string, SmallDisk>();
    const pipeline = owned.use(
      await startPipeline({
        sftp: "openssh",
        ...options,
        env: {
          BATCH_SIZE: "50",
          RETRY_DELAYS_SECONDS: "0.1",
          HTTP_TIMEOUT_SECONDS: "2",
          LOG_LEVEL: "info",
          LEASE_SECONDS: "1",
          ...options.env,
        },
        furnish: async (folder, stack) => {
          for (const [name, bytes] of Object.entries(disks)) {
            const disk = await smallDisk(`${folder}/${name}`, bytes);
            if (disk === undefined) throw new Skip("this process may not mount a disk");
            mounted.set(name, stack.use(disk));
          }
        },
      }),
    );
    const redisLine = pipeline.redis && owned.use(await Line.to(pipeline.redis.port));
    if (redisLine !== undefined) pipeline.env.REDIS_URL = `redis://127.0.0.1:${redisLine.port}`;
    const sftpLine = pipeline.site && owned.use(await Line.to(Number(pipeline.env.SFTP_PORT)));
    if (sftpLine !== undefined) await leadThrough(sftpLine, pipeline);
    const url = pipeline.env.DATABASE_URL;
    const databaseLine = url && owned.use(await Line.to(Number(new URL(url).port))) || undefined;
    if (databaseLine !== undefined) pipeline.env.DATABASE_URL = databaseLine.by(url!);
    if (disks.upload !== undefined) pipeline.env.SFTP_REMOTE_DIR = `${pipeline.folder}/upload`;
    const environment = new DrillEnvironment(
      pipeline,
      options,
      mounted,
      redisLine,
      sftpLine,
      databaseLine,
      owned.move(),
    );
    DrillEnvironment.#open.add(environment);
    return environment;
  }

  /** Disposes of all open environments, when a drill is interrupted. */
  static async closeAll(): Promise<void> {
    await Promise.allSettled(
      [...DrillEnvironment.#open].map((environment) => environment[Symbol.asyncDispose]()),
    );
  }

  /** Starts a service that stands still at a step; see `tests/support/steps.ts`. Doesn't wait. */
  beginUpTo(worker: Worker, step: number | string): Running {
    const lines = worker === "saver" ? [this.sftpLine, this.databaseLine] : [];
    const standstill = { last: step, ports: lines.flatMap((line) => line?.port ?? []) };
    const thread = this.#program(`${worker}_thread_steps.ts`, [
      `import { BEFORE_THREADS, standStillAt } from "${STEPS}";`,
      `import "${SFTP_WORKER}";`,
      `standStillAt(${JSON.stringify(standstill)}, BEFORE_THREADS);`,
    ]);
    const preload = this.#program(`${worker}_steps.ts`, [
      `import { haveThreadsRun, standStillAt } from "${STEPS}";`,
      `standStillAt(${JSON.stringify(standstill)});`,
      `haveThreadsRun("file://${thread}");`,
    ]);
    const [run, ...rest] = commandOf(worker, this.pipeline.env, this.pipeline.pipelines);
    const readable = `${thread},${programPath("tests")}`;
    const flags = rest.map((flag) => flag.startsWith("--allow-read=") ? `${flag},${readable}` : flag);
    return this.pipeline.spawn(worker, [run!, "--preload", preload, ...flags]);
  }

  #program(name: string, lines: readonly string[]): string {
    const path = this.path(name);
    Deno.writeTextFileSync(path, `${lines.join("\n")}\n`);
    return path;
  }

  /**
   * Waits until a service started with `beginUpTo` stands still; returns the step. Returns undefined if
   * `done` resolves first.
   */
  async standsStill(
    running: Running,
    done: () => boolean | Promise<boolean>,
  ): Promise<string | undefined> {
    let where: string | undefined;
    running.line(new RegExp(`${STANDS_STILL} (.*)`)).then(([, step]) => where = step, () => {});
    await this.until(`${running.name} stands still`, async () => where !== undefined || await done());
    return where;
  }

  /** Returns the run's row, if it exists. */
  run(runId: string): RunRow | undefined {
    return this.pipeline.runs().find((run) => run.run_id === runId);
  }

  /**
   * Waits until the run, or the unfinished one that is resumed in its place, has one of these statuses.
   * @throws Error with the status that it has instead.
   */
  async comesTo(runId: string, ...wanted: RunStatus[]): Promise<RunRow> {
    let last: RunRow | undefined;
    return await this.until(
      `run ${runId} is ${wanted.join(" or ")}`,
      () => {
        last = this.pipeline.run(runId);
        return last !== undefined && wanted.includes(last.status) && last;
      },
      () => `it is ${last?.status ?? "unknown"} (${last?.failure_reason ?? last?.delivery_error})`,
    );
  }

  /** As `TestPipeline.until`, with a longer limit. */
  until<T>(
    what: string,
    look: () => T | undefined | false | Promise<T | undefined | false>,
    instead?: () => string,
    patienceMs: number = PATIENCE_MS,
  ): Promise<T> {
    return this.pipeline.until(what, look, instead, patienceMs);
  }

  /** Waits until a mailbox has this number of messages. */
  async depth(mailbox: keyof typeof CHANNELS, wanted: number): Promise<void> {
    await this.until(
      `${wanted} messages on ${mailbox}`,
      async () => (await this.pipeline.channel.mailbox(mailbox).state()).depth === wanted,
    );
  }

  /** Returns a path in the working directory. */
  path(name: string): string {
    return `${this.pipeline.folder}/${name}`;
  }

  /** The folder on this machine that files are delivered to. */
  get upload(): string {
    return this.disks.has("upload") ? this.path("upload") : this.pipeline.site!.disk;
  }

  /** Returns the dead letters of all mailboxes. */
  async dead(): Promise<{ mailbox: string; id: string; reason: string }[]> {
    const { channel } = this.pipeline;
    const all = Object.keys(CHANNELS).map((name) => channel.mailbox(name).dead({ limit: 100 }));
    return (await Promise.all(all)).flat();
  }

  /** Replays all dead letters, as an operator does once the cause is gone. */
  async replay(): Promise<void> {
    for (const { mailbox, id } of await this.dead()) await this.pipeline.channel.mailbox(mailbox).replay(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    DrillEnvironment.#open.delete(this);
    await (this.#closing ??= this.owned[Symbol.asyncDispose]());
  }
}

/** Makes the saver connect through `line`, and pins the server's key for that address. */
async function leadThrough(line: Line, { env, folder }: TestPipeline): Promise<void> {
  const file = `${folder}/ssh_keys/known_hosts`;
  const known = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, known.replaceAll(`:${env.SFTP_PORT} `, `:${line.port} `));
  env.SFTP_PORT = String(line.port);
}
