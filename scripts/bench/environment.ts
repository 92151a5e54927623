/** The benchmark's environment: a separate folder, the real services with their real permissions, and real servers. */
import { readEnvironment } from "../../cli/env_file.ts";
import {
  commandOf,
  type Environment,
  pipelinesOf,
  type Service,
  SERVICES,
  VARIABLES,
} from "../../cli/services.ts";
import { ensureKeys, pinHostKey } from "../../local/sftp/keys.ts";
import { follow } from "../../shared/actor/follow.ts";
import { compose, type Fields } from "../../shared/actor/message.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { openChannel } from "../../shared/channel/open.ts";
import type { ChannelName } from "../../shared/contracts/channels.ts";
import type { Phase } from "../../shared/contracts/messages.ts";
import { startS3 } from "../../tests/support/s3.ts";
import { startSshd } from "../../tests/support/sshd.ts";
import type { Cost } from "./measure.ts";
import { type Program, startProgram } from "./programs.ts";

export const PROJECT: string = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

export interface Scale {
  /** Number of users in the rows that compare with a tool. */
  readonly users: number;
  readonly turns: number;
  readonly quick: boolean;
  /** Folder for the CPU profiles of the services, a file for each process. */
  readonly profile: string | undefined;
}

/**
 * The folder of a benchmark. It is the working directory until it is disposed of, as paths in messages are relative.
 */
export class BenchEnvironment implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly #made = new Map<string, Promise<unknown>>();
  #setups = 0;

  private constructor(
    readonly scale: Scale,
    /** The environment, without the variables of the pipeline. */
    readonly programEnv: Environment,
    private readonly folder: string,
  ) {}

  /** Creates the folder in `TMPDIR`, and makes it the working directory. */
  static async open(scale: Scale): Promise<BenchEnvironment> {
    const env = await readEnvironment();
    for (const service of SERVICES) for (const name of Object.keys(VARIABLES[service])) delete env[name];
    const folder = await Deno.makeTempDir({ prefix: "bench-" });
    Deno.chdir(folder);
    return new BenchEnvironment(scale, env, folder);
  }

  /** The result of `make`, created once for all rows that use `name`. */
  once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const made = this.#made.get(name) ?? make();
    this.#made.set(name, made);
    return made as Promise<T>;
  }

  /**
   * A new queue and database in a separate folder. The files are separate too with `ownFiles`, otherwise all set-ups
   * share them.
   */
  setup(env: Environment = {}, { ownFiles = false } = {}): BenchSetup {
    const folder = `setup-${++this.#setups}`;
    Deno.mkdirSync(folder);
    return new BenchSetup(folder, {
      ...this.programEnv,
      LOG_FORMAT: "json",
      DATA_DIR: ownFiles ? `${folder}/data` : "data",
      QUEUE_PATH: `${folder}/queue.db`,
      DB_PATH: `${folder}/data.db`,
      LOOKUP_FILE: `${PROJECT}/pipelines/departments.csv`,
      SCHEDULE: "off",
      RUN_ON_START: "never",
      API_PORT: "0",
      ...env,
    }, this.scale.profile);
  }

  /** The address of a sample source of `users`, of which a tenth break a rule. It runs in a separate process. */
  source(users: number): Promise<string> {
    return this.once(`source ${users}`, async () => {
      const args = ["run", "--no-prompt", "--allow-net=127.0.0.1", `${PROJECT}/local/source.ts`];
      const options = ["--users", `${users}`, "--bad", "0.1"];
      const program = startProgram("source", [...args, ...options], this.programEnv, /Sample source: (\S+)/);
      return this.#resources.use(await program).ready[1]!;
    });
  }

  /** OpenSSH's server, and the files with which a client logs in. */
  sftp() {
    return this.once("sftp", async () => {
      const keys = await ensureKeys("keys", { type: "ed25519" });
      const authorizedKey = await Deno.readTextFile(keys.publicKey);
      const server = this.#resources.use(await startSshd({ authorizedKey }));
      const knownHosts = `${this.folder}/keys/known_hosts`;
      await pinHostKey(knownHosts, "127.0.0.1", server.port, server.hostKey);
      return { server, key: `${this.folder}/${keys.privateKey}`, knownHosts };
    });
  }

  store() {
    return this.once("store", async () => this.#resources.use(await startS3()));
  }

  /** A new folder on that server, and the variables with which a saver delivers into it. */
  async delivery(): Promise<{ folder: string; env: Environment }> {
    const { server, key, knownHosts } = await this.sftp();
    const folder = `${server.home}/${crypto.randomUUID()}`;
    const env = {
      SFTP_HOST: "127.0.0.1",
      SFTP_PORT: `${server.port}`,
      SFTP_USER: server.user,
      SFTP_KEY_PATH: key,
      SFTP_KNOWN_HOSTS: knownHosts,
      SFTP_REMOTE_DIR: folder,
    };
    return { folder, env };
  }

  /** Stops everything in reverse order, and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
    Deno.chdir(PROJECT);
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Services over one queue and one database. Disposing of it stops them and removes both. */
export class BenchSetup implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  #channel: Promise<Channel> | undefined;

  constructor(
    private readonly folder: string,
    readonly env: Environment,
    private readonly profile: string | undefined,
  ) {}

  /** Starts a service, and waits until it is ready. */
  async start(name: Service): Promise<Program> {
    const [run, ...rest] = commandOf(name, this.env, await pipelinesOf(this.env));
    const profiled = this.profile ? ["--cpu-prof", `--cpu-prof-dir=${this.profile}/${name}`] : [];
    const program = startProgram(name, [run!, ...profiled, ...rest], this.env, /"message":"ready"/);
    return this.#resources.use(await program);
  }

  /**
   * The cost of `programs` from the publication of a message until `phase` of its run is complete.
   *
   * @throws Error when the run fails.
   */
  async costOf<C extends ChannelName>(
    phase: Phase,
    to: C,
    fields: Fields<C> & { run_id: string },
    ...programs: Program[]
  ): Promise<Cost> {
    const { REDIS_URL, QUEUE_PATH } = this.env;
    const channel = await (this.#channel ??= openChannel({ redisUrl: REDIS_URL, queuePath: QUEUE_PATH! })
      .then((channel) => this.#resources.use(channel)));
    const cpu = async () =>
      (await Promise.all(programs.map((program) => program.cpu()))).reduce((sum, cpu) => sum + cpu, 0);
    const listening = new AbortController();
    try {
      const bodies = await channel.watch("channel:run_events", listening.signal);
      const before = await cpu();
      const began = performance.now();
      await channel.publish(compose(to, `bench/${crypto.randomUUID()}`, fields));
      for await (const event of follow(fields.run_id, bodies)) {
        if (event.type === "phase_completed" && event.phase === phase) {
          return { seconds: (performance.now() - began) / 1000, cpu: await cpu() - before };
        }
        if ("reason" in event) throw new Error(`Cannot measure: the run says ${event.type}: ${event.reason}`);
      }
      throw new Error(`Cannot measure: run ${fields.run_id} has ended without ${phase}.`);
    } finally {
      listening.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}
