/**
 * A separate, real Redis server on a free port, with its files in a temporary folder.
 *
 * @module
 */
import { freePort } from "./free_port.ts";
import { commandOn, HERE, type Host } from "./host.ts";
import { used } from "./needs.ts";
import { followLog } from "./output.ts";

/** A running server. Disposing of it ends the server and removes its files. */
export interface RedisServer extends AsyncDisposable {
  /** The address, including the password if there is one. */
  readonly url: string;
  /** The port, which stays the same after a restart. */
  readonly port: number;
  /** Kills the server, as a power cut would (SIGKILL). */
  kill(): Promise<void>;
  /** Shuts the server down (SIGTERM). */
  stop(): Promise<void>;
  /** Restarts it with the content of its disk; resolves once it accepts connections. */
  start(): Promise<void>;
  /** Stops it with open connections (SIGSTOP), until `thaw`. */
  freeze(): void;
  thaw(): void;
}

/** Starts a server that writes each command to disk before it replies (`appendfsync always`). */
export async function startRedis(
  { password, host = HERE }: { password?: string; host?: Host } = {},
): Promise<RedisServer> {
  used("redis-server");
  const folder = await Deno.makeTempDir({ prefix: "redis-" });
  for (let tries = 1;; tries += 1) {
    const server = new Server(folder, freePort(), password, host);
    try {
      await server.start();
      return server;
    } catch (error) {
      // Another program may have taken the port in the meantime.
      if (tries === 3) throw error;
    }
  }
}

class Server implements RedisServer {
  readonly url: string;
  #process: Deno.ChildProcess | undefined;
  #output: Promise<void> = Promise.resolve();

  constructor(
    private readonly folder: string,
    readonly port: number,
    private readonly password: string | undefined,
    private readonly host: Host,
  ) {
    this.url = `redis://${password === undefined ? "" : `:${password}@`}${host.address}:${port}`;
  }

  async start(): Promise<void> {
    const settings = {
      port: this.port,
      bind: this.host.address,
      dir: this.folder,
      save: "",
      appendonly: "yes",
      appendfsync: "always",
      "protected-mode": "no", // otherwise it refuses connections from other machines
      daemonize: "no",
      ...(this.password === undefined ? {} : { requirepass: this.password }),
    };
    const process = commandOn(this.host, "redis-server", {
      args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#process = process;
    const ready = Promise.withResolvers<void>();
    this.#output = followLog("redis-server", process.stdout, "Ready to accept connections", ready);
    await ready.promise;
    await connect(this.host.address, this.port);
  }

  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.folder, { recursive: true });
  }

  async #end(signal: Deno.Signal): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    process.kill(signal);
    await process.status;
    await this.#output;
  }
}

async function connect(hostname: string, port: number): Promise<void> {
  const connection = await Deno.connect({ hostname, port });
  connection.close();
}
