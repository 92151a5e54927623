/**
 * A real Redis server of one's own, on a free port, with its files in a folder of its own.
 *
 * @module
 */
import { freePort } from "./free_port.ts";
import { commandOn, HERE, type Host } from "./host.ts";
import { used } from "./needs.ts";
import { followLog } from "./output.ts";

/** A running server. Disposing of it ends the server and removes its files. */
export interface RedisServer extends AsyncDisposable {
  /** Its address, with the password where there is one. */
  readonly url: string;
  /** Its port, the same after a restart. */
  readonly port: number;
  /** Ends the server at once, as a power cut would (SIGKILL). */
  kill(): Promise<void>;
  /** Ends the server in order (SIGTERM). */
  stop(): Promise<void>;
  /** Starts it again with what is on its disk; resolves when it takes connections. */
  start(): Promise<void>;
  /** Keeps it from answering, its connections open (SIGSTOP), until `thaw`. */
  freeze(): void;
  thaw(): void;
}

/** Starts a server that writes each command to its disk before it answers (`appendfsync always`). */
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
      // Somebody else may have taken the port meanwhile.
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
      "protected-mode": "no", // else it lets nobody in from another machine
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
