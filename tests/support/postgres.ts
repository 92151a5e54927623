/**
 * A separate, real PostgreSQL server on a free port, with its cluster in a temporary folder.
 *
 * @module
 */
import { freePort } from "./free_port.ts";
import { commandOn, HERE, type Host } from "./host.ts";
import { placeOf, used } from "./needs.ts";
import { followLog } from "./output.ts";
import { childrenOf } from "./processes.ts";

/** A running server. Disposing of it ends the server and removes its files. */
export interface PostgresServer extends AsyncDisposable {
  /** The port, which stays the same after a restart. */
  readonly port: number;
  /** Path of the certificate, if the server was started with `tls`. */
  readonly certificate: string | undefined;
  /** Returns the address of a database, for the superuser `etl` or another user. */
  url(database?: string, user?: string, password?: string): string;
  /** Creates an empty database; returns its address. `options` are those of CREATE DATABASE. */
  createDatabase(options?: string): Promise<string>;
  /**
   * Runs statements with `psql` as the superuser; returns its output, one line per row, with columns
   * separated by `|`.
   */
  psql(sql: string, database?: string): Promise<string>;
  /** Kills the server and all its processes, as a power cut would (SIGKILL). */
  kill(): Promise<void>;
  /** Shuts the server down and ends all sessions (SIGINT). */
  stop(): Promise<void>;
  /**
   * Restarts it with the content of its disk and with these settings instead of the former ones; resolves
   * once it accepts connections.
   */
  start(settings?: Record<string, string>): Promise<void>;
  /** Stops all its processes with open connections (SIGSTOP), until `thaw`. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

export interface PostgresOptions {
  /** Settings for postgresql.conf. */
  readonly settings?: Record<string, string>;
  /** Accepts TLS connections, with a certificate for `localhost`. */
  readonly tls?: boolean;
  /** Default: this machine. */
  readonly host?: Host;
  /** Closes the log once the server is ready, so that the server can outlive a test. */
  readonly quiet?: boolean;
}

/**
 * The variable with a folder, readable by everyone, for a new cluster that all servers of a run copy. Without
 * it, each server creates its own cluster.
 */
export const CLUSTERS = "ETL_TEST_CLUSTERS";

const USER = "etl";
const PASSWORD = "s3cret:@/word";

/** Creates a cluster and starts a server on it. The server syncs each commit to disk. */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  used("postgres");
  const folder = await Deno.makeTempDir({ prefix: "postgres-" });
  const server = new Server(folder, await owner(), options);
  try {
    await server.make();
    for (let tries = 1;; tries += 1) {
      try {
        await server.start();
        return server;
      } catch (error) {
        // Another program may have taken the port in the meantime.
        if (tries === 3) throw error;
        server.port = freePort();
      }
    }
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

/** Returns the owner of the cluster: the server refuses to run as root. */
async function owner(): Promise<{ uid: number; gid: number } | undefined> {
  if (Deno.uid() !== 0) return undefined;
  const { uid, gid } = await Deno.stat("/var/lib/postgresql"); // the user postgres owns its home
  return { uid: uid!, gid: gid! };
}

class Server implements PostgresServer {
  port = freePort();
  #process: Deno.ChildProcess | undefined;
  #output: Promise<void> = Promise.resolve();
  #settings: Record<string, string>;
  #databases = 0;

  constructor(
    private readonly folder: string,
    private readonly owner: { uid: number; gid: number } | undefined,
    private readonly options: PostgresOptions,
  ) {
    this.#settings = options.settings ?? {};
  }

  get #host(): Host {
    return this.options.host ?? HERE;
  }

  get certificate(): string | undefined {
    return this.options.tls ? `${this.folder}/server.crt` : undefined;
  }

  async make(): Promise<void> {
    const { folder, owner } = this;
    if (owner !== undefined) await Deno.chown(folder, owner.uid, owner.gid);
    const kept = Deno.env.get(CLUSTERS);
    if (kept === undefined) await this.#makeCluster(`${folder}/data`);
    else await this.#copyCluster(kept, `${folder}/data`);
    if (this.#host !== HERE) {
      const way = "host all all samenet scram-sha-256\n";
      await Deno.writeTextFile(`${folder}/data/pg_hba.conf`, way, { append: true });
    }
    if (!this.options.tls) return;
    used("openssl");
    await this.#run("openssl", [
      ...["req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=DNS:localhost", "-newkey", "rsa:2048"],
      ...["-keyout", `${folder}/server.key`, "-out", `${folder}/server.crt`],
    ]);
    await Deno.chmod(`${folder}/server.key`, 0o600);
  }

  async #makeCluster(path: string): Promise<void> {
    await Deno.writeTextFile(`${this.folder}/password`, PASSWORD);
    await this.#run("initdb", [
      ...["-D", path, "-U", USER, "--pwfile", `${this.folder}/password`, "-A", "scram-sha-256"],
      ...["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
    ]);
  }

  /**
   * Copies the cluster in the folder `kept`. The first caller creates it, which takes three times as long as
   * a copy.
   */
  async #copyCluster(kept: string, path: string): Promise<void> {
    const original = `${kept}/postgres`;
    if (!await Deno.stat(original).then(() => true, () => false)) {
      await this.#makeCluster(`${this.folder}/first`);
      await this.#run("cp", ["-a", "--sparse=always", `${this.folder}/first`, `${this.folder}/new`]); // 12 of 39 MB are holes
      // if another test file was faster, its cluster stays; if there is none, cp fails
      await Deno.rename(`${this.folder}/new`, original).catch(() => {});
    }
    await this.#run("cp", ["-a", original, path]);
  }

  url(database = "postgres", user = USER, password = PASSWORD): string {
    return `postgres://${user}:${
      encodeURIComponent(password)
    }@${this.#host.address}:${this.port}/${database}`;
  }

  async createDatabase(options = ""): Promise<string> {
    const name = `test_${++this.#databases}`;
    await this.psql(`CREATE DATABASE ${name} ${options}`);
    return this.url(name);
  }

  psql(sql: string, database = "postgres"): Promise<string> {
    return this.#run("psql", ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql], {
      PGHOST: this.#host.address,
      PGPORT: String(this.port),
      PGUSER: USER,
      PGPASSWORD: PASSWORD,
      PGDATABASE: database,
    });
  }

  async start(settings = this.#settings): Promise<void> {
    this.#settings = settings;
    const all = {
      port: String(this.port),
      listen_addresses: this.#host.address,
      unix_socket_directories: "",
      lc_messages: "C",
      ...(this.options.tls
        ? {
          ssl: "on",
          ssl_cert_file: `${this.folder}/server.crt`,
          ssl_key_file: `${this.folder}/server.key`,
        }
        : {}),
      ...settings,
    };
    const process = this.#command(
      "postgres",
      [
        ...["-D", `${this.folder}/data`],
        ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      ],
      { stdout: "null" },
      this.#host,
    ).spawn();
    this.#process = process;
    const ready = Promise.withResolvers<void>();
    this.#output = followLog(
      "postgres",
      process.stderr,
      "ready to accept connections",
      ready,
      this.options.quiet,
    );
    try {
      await ready.promise;
    } catch (error) {
      await this.#end("SIGKILL");
      throw error;
    }
  }

  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  stop(): Promise<void> {
    return this.#end("SIGINT");
  }

  async freeze(): Promise<void> {
    await this.#signalAll("SIGSTOP");
  }

  async thaw(): Promise<void> {
    await this.#signalAll("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.folder, { recursive: true });
  }

  async #end(signal: Deno.Signal): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    if (signal === "SIGKILL") await this.#signalAll("SIGKILL", process);
    else process.kill(signal);
    await process.status;
    await this.#output;
  }

  /** Signals the server and its processes. The server comes first, so that it starts no other process. */
  async #signalAll(signal: Deno.Signal, process = this.#process): Promise<void> {
    if (process === undefined) return;
    const children = await childrenOf(process.pid);
    for (const pid of [process.pid, ...children]) {
      try {
        Deno.kill(pid, signal);
      } catch {
        // it has already ended
      }
    }
  }

  #command(program: string, args: string[], options: Deno.CommandOptions = {}, host = HERE): Deno.Command {
    const path = placeOf(program) ?? program;
    const all: Deno.CommandOptions = { cwd: this.folder, stdin: "null", stderr: "piped", ...options };
    if (host === HERE || this.owner === undefined) {
      return commandOn(host, path, { ...all, args, ...this.owner });
    }
    // only root can enter the other machine
    const { uid, gid } = this.owner;
    const become = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", path];
    return commandOn(host, "setpriv", { ...all, args: [...become, ...args] });
  }

  async #run(program: string, args: string[], env: Record<string, string> = {}): Promise<string> {
    const { success, stdout, stderr } = await this.#command(program, args, { stdout: "piped", env }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trimEnd();
    if (!success) throw new Error(`${program} failed: ${text(stderr)}`);
    return text(stdout);
  }
}
