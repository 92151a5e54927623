/**
 * Where the benchmark works: a folder of its own, the real services with the permissions they have in earnest, real servers beside them.
 *
 * @module
 */
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
import type { Channel } from "../../shared/channel/channel.ts";
import { openChannel } from "../../shared/channel/open.ts";
import { type Sshd, startSshd } from "../../tests/support/sshd.ts";
import { Program } from "./process.ts";

export const PROJECT: string = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** What the command line asks for. */
export interface Scale {
  /** Users of the rows that compare with a tool. */
  readonly users: number;
  readonly turns: number;
  /** Whether figures are to be had soon, rather than to be quoted. */
  readonly quick: boolean;
  /** Folder for what the services spend their CPU time on, a file for each process, as Chromium's developer tools show it. */
  readonly profile: string | undefined;
}

/** An SFTP server and what logs in to it. */
export interface SftpSetup {
  readonly server: Sshd;
  /** File of the private key that may log in. */
  readonly key: string;
  /** File with the server's host key. */
  readonly knownHosts: string;
}

/** The folder of a benchmark; it is the working directory while it is there, as paths in messages are relative. */
export class BenchEnvironment implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly #made = new Map<string, Promise<unknown>>();
  #stages = 0;

  private constructor(
    /** How much is asked for. */
    readonly scale: Scale,
    /** The environment, without the variables of the pipeline. */
    readonly programEnv: Environment,
    private readonly folder: string,
    /** Tells a person how far it is. */
    readonly say: (line: string) => void,
  ) {}

  /** Makes the folder and goes there. `TMPDIR` says where. */
  static async open(scale: Scale, say: (line: string) => void): Promise<BenchEnvironment> {
    const env = { ...await readEnvironment() };
    for (const service of SERVICES) for (const name of Object.keys(VARIABLES[service])) delete env[name];
    const folder = await Deno.makeTempDir({ prefix: "bench-" });
    Deno.chdir(folder);
    return new BenchEnvironment(scale, env, folder, say);
  }

  /** What `make` makes, once for all rows that ask for `name`. */
  once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const known = this.#made.get(name) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const made = make();
    this.#made.set(name, made);
    return made;
  }

  /** Keeps `resource` until the benchmark ends. */
  keep<T extends AsyncDisposable>(resource: T): T {
    return this.#resources.use(resource);
  }

  /** A fresh queue and database in a folder of their own; the files too, with `ownFiles`, or else those of all stages. */
  stage(env: Environment = {}, { ownFiles = false } = {}): Stage {
    const folder = `stage-${++this.#stages}`;
    Deno.mkdirSync(folder);
    return new Stage(folder, {
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

  /** The address of a sample source of `users`, of which a tenth break a rule. It runs in a process of its own. */
  source(users: number): Promise<string> {
    return this.once(`source ${users}`, async () => {
      const args = ["run", "--no-prompt", "--allow-net=127.0.0.1", `${PROJECT}/local/source.ts`];
      const program = await Program.start(
        "source",
        [...args, "--users", `${users}`, "--bad", "0.1"],
        this.programEnv,
        /Sample source: (\S+)/,
      );
      return this.keep(program).ready[1]!;
    });
  }

  /** OpenSSH's server, with the key in place. */
  sftp(): Promise<SftpSetup> {
    return this.once("sftp", async () => {
      const keys = await ensureKeys("keys", { type: "ed25519" });
      const server = this.keep(
        await startSshd({ authorizedKey: await Deno.readTextFile(keys.publicKey) }),
      );
      const knownHosts = `${this.folder}/keys/known_hosts`;
      await pinHostKey(knownHosts, "127.0.0.1", server.port, server.hostKey);
      return { server, key: `${this.folder}/${keys.privateKey}`, knownHosts };
    });
  }

  /** The variables with which a saver delivers into `folder` of that server. */
  async delivery(folder: string): Promise<Environment> {
    const { server, key, knownHosts } = await this.sftp();
    return {
      SFTP_HOST: "127.0.0.1",
      SFTP_PORT: `${server.port}`,
      SFTP_USER: server.user,
      SFTP_KEY_PATH: key,
      SFTP_KNOWN_HOSTS: knownHosts,
      SFTP_REMOTE_DIR: folder,
    };
  }

  /** Ends all that was kept, the last first, and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
    Deno.chdir(PROJECT);
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Services over one queue and one database. Disposing of it stops them and removes both. */
export class Stage implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  #channel: Promise<Channel> | undefined;

  /** @ignore Made by `BenchEnvironment.stage`. */
  constructor(
    /** Where queue and database are. */
    readonly folder: string,
    readonly env: Environment,
    private readonly profile: string | undefined,
  ) {}

  /** Starts a service, and waits until it is ready. */
  async start(name: Service): Promise<Program> {
    const [run, ...rest] = commandOf(name, this.env, await pipelinesOf(this.env)) as [
      string,
      ...string[],
    ];
    const profiled = this.profile === undefined
      ? []
      : ["--cpu-prof", `--cpu-prof-dir=${this.profile}/${name}`];
    return this.#resources.use(
      await Program.start(name, [run, ...profiled, ...rest], this.env, /"message":"ready"/),
    );
  }

  /** The channel that the services share. */
  channel(): Promise<Channel> {
    const { REDIS_URL, QUEUE_PATH } = this.env;
    return this.#channel ??= openChannel({ redisUrl: REDIS_URL, queuePath: QUEUE_PATH! })
      .then((channel) => this.#resources.use(channel));
  }

  /** Stops all of it and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}
