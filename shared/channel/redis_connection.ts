/** A connection to a Redis server that reconnects automatically, and classifies errors as transient or permanent. */
import { getLogger } from "@logtape/logtape";
import { createClient, ErrorReply } from "redis";
import { messageOf, PermanentError, reasonsOf, TransientError } from "../errors/errors.ts";
import { Bell } from "./bell.ts";
import { PING, type Script } from "./redis_scripts.ts";

export interface Address {
  /** The whole URL, with the password; only for connecting. */
  readonly url: string;
  /** The address without user and password, for people to see. */
  readonly shown: string;
}

export interface Subscriber {
  /** Calls `listener` with the bytes of each message on a Pub/Sub channel; resolves once the server has confirmed the subscription. */
  subscribe(channel: string, listener: (body: Uint8Array) => void, asBytes: true): Promise<void>;
}

type RedisClient = ReturnType<typeof createClient>;

const RECONNECT_FIRST_MS = 50;
const RECONNECT_MAX_MS = 1_000;
const RETRY_WHILE_LOADING_MS = 100;
const PING_EVERY_MS = 4_000;
/** A connection without any reply for this long is dead; longer than the interval of pings. */
const SILENCE_MS = 10_000;
const MAX_IN_FLIGHT = 10_000;

/** Parses a Redis URL. @throws PermanentError if it is invalid; the message never shows the password. */
export function addressOf(url: string): Address {
  try {
    const { protocol, host, pathname, username, password } = new URL(url);
    decodeURIComponent(username + password);
    if (/^rediss?:$/.test(protocol) && host !== "" && /^(\/\d*)?$/.test(pathname)) {
      return { url, shown: `${protocol}//${host}${pathname}` };
    }
  } catch {
    // the original error would show the URL, which may hold a password
  }
  throw new PermanentError(
    "Cannot read the Redis URL: wanted redis://[user:password@]host[:port][/db], or rediss:// for TLS, with special characters of user and password percent-encoded. Correct it and start again.",
  );
}

/** One connection, kept open in the background from construction to disposal. */
export class Connection implements AsyncDisposable {
  readonly #closed = new AbortController();
  /** Rings when the connection opens, fails to open, or breaks. */
  readonly #changed = new Bell();
  readonly #life: Promise<void>;
  /** Ends the current connection. */
  #end: (reason?: Error) => void = () => {};
  /** Called if the server is a replica; the connection is retried until it reaches a primary. */
  onDemoted: () => void = () => {};
  #client: RedisClient | undefined;
  /** Why there is no connection. */
  #failure: TransientError | PermanentError | undefined;

  /**
   * Starts to connect.
   *
   * @param purpose shown by `CLIENT LIST`
   * @param onReady called with each new connection before it is used for anything else
   */
  constructor(
    readonly address: Address,
    private readonly purpose: string,
    private readonly callTimeoutMs: number,
    private readonly onReady: (subscriber: Subscriber) => Promise<void> = () => Promise.resolve(),
  ) {
    this.#life = this.#live();
  }

  /** For subscriptions, if connected now; another object after each reconnection. */
  get subscriber(): Subscriber | undefined {
    return this.#client;
  }

  /**
   * Runs a script and returns its reply. The call timeout covers waiting for a connection and for the reply.
   *
   * @throws TransientError if the server can't be reached, loads its data, is out of memory or doesn't answer; then it is unknown whether the script
   * ran.
   * @throws PermanentError if the server refuses: wrong password, missing permissions, a key of another type.
   */
  async run(
    action: string,
    script: Script,
    keys: readonly string[],
    args: readonly (string | Uint8Array)[],
    signal: AbortSignal = this.#closed.signal,
  ): Promise<unknown> {
    const deadline = Date.now() + this.callTimeoutMs;
    const call = { keys: [...keys], arguments: args.map(bulk) };
    for (;;) {
      const client = await this.#ready(action, deadline, signal);
      try {
        return await within(deadline - Date.now(), evaluate(client, script, call));
      } catch (error) {
        if (isDemoted(error) && client === this.#client) this.reconnect(error as Error);
        if (!isLoading(error) || Date.now() + RETRY_WHILE_LOADING_MS > deadline || signal.aborted) {
          throw failureOf(action, this.address, error);
        }
        await this.#changed.wait(this.#changed.rings, RETRY_WHILE_LOADING_MS, signal);
      }
    }
  }

  /** Closes the current connection and opens another one. Pending calls fail. */
  reconnect(reason?: Error): void {
    this.#client = undefined;
    this.#end(reason);
  }

  /** Closes the connection. Pending calls fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    this.#end();
    await this.#life;
  }

  async #ready(action: string, deadline: number, signal: AbortSignal): Promise<RedisClient> {
    for (;;) {
      const { rings } = this.#changed;
      if (this.#closed.signal.aborted) {
        throw new PermanentError(`Cannot ${action}: the channel was closed. Open another one.`);
      }
      if (this.#client !== undefined) return this.#client;
      if (this.#failure instanceof PermanentError) throw failureOf(action, this.address, this.#failure.cause);
      if (Date.now() >= deadline || signal.aborted) {
        throw failureOf(action, this.address, this.#failure?.cause ?? new Error("not connected yet"));
      }
      await this.#changed.wait(rings, deadline - Date.now(), signal);
    }
  }

  async #live(): Promise<void> {
    const log = getLogger(["etl", "channel"]);
    const { signal } = this.#closed;
    for (let failures = 0; !signal.aborted;) {
      const client = connectionTo(this.address, this.purpose);
      const { promise: broken, resolve: end } = Promise.withResolvers<Error>();
      client.on("error", end);
      this.#end = (reason = new Error("closed")) => {
        client.destroy();
        end(reason);
      };
      try {
        await client.connect();
        // a client whose connection breaks meanwhile leaves some calls unanswered
        const begun = evaluate(client, PING, { keys: ["ping"], arguments: [] }).then(() =>
          this.onReady(client)
        );
        await Promise.race([begun, broken.then((error) => Promise.reject(error))]);
        if (failures > 0) log.info("connected to Redis again", { address: this.address.shown });
        failures = 0;
        this.#failure = undefined;
        this.#client = client;
        this.#changed.ring();
        throw await broken;
      } catch (error) {
        this.#client = undefined;
        this.#failure = failureOf("connect", this.address, error);
        if (isDemoted(error)) this.onDemoted();
        if (failures === 0 && !signal.aborted) {
          log.warning("no connection to Redis, retrying", {
            address: this.address.shown,
            reason: this.#failure.message,
          });
        }
      } finally {
        client.destroy();
      }
      this.#changed.ring();
      failures += 1;
      const pause = Math.min(RECONNECT_FIRST_MS * 2 ** failures, RECONNECT_MAX_MS) *
        (0.5 + Math.random() / 2);
      await this.#changed.wait(this.#changed.rings, pause, signal);
    }
  }
}

/** A client for one connection. It never reconnects, so that no call waits in it for a server that can't be reached. */
function connectionTo({ url }: Address, purpose: string): RedisClient {
  return createClient({
    url,
    name: `etl-${purpose}`,
    socket: { reconnectStrategy: false, connectTimeout: 5_000, socketTimeout: SILENCE_MS },
    pingInterval: PING_EVERY_MS,
    disableOfflineQueue: true,
    commandsQueueMaxLength: MAX_IN_FLIGHT,
    // otherwise the client reads environment variables, which a service has no permission for
    maintNotifications: "disabled",
  });
}

interface Call {
  keys: string[];
  arguments: (string | Buffer)[];
}

async function evaluate(client: RedisClient, script: Script, call: Call): Promise<unknown> {
  try {
    return await client.evalSha(script.sha, call);
  } catch (error) {
    if (codeOf(error) !== "NOSCRIPT") throw error;
    return await client.eval(script.source, call);
  }
}

function bulk(arg: string | Uint8Array): string | Buffer {
  return typeof arg === "string" ? arg : Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength);
}

/** The promise's value, or a rejection after `ms` or when `signal` aborts. */
export async function within<T>(ms: number, promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("no answer in time")), Math.max(ms, 0));
  const onAbort = () => reject(new Error("closed"));
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** The first word of an error that the server replied with, such as `WRONGTYPE`. */
function codeOf(error: unknown): string | undefined {
  return error instanceof ErrorReply ? error.message.split(" ", 1)[0] : undefined;
}

function isLoading(error: unknown): boolean {
  return codeOf(error) === "LOADING";
}

function isDemoted(error: unknown): boolean {
  return ["READONLY", "MASTERDOWN"].includes(codeOf(error) ?? "");
}

/** Transient error replies, and their descriptions. */
const PASSING: Readonly<Record<string, string>> = {
  LOADING: "it is still loading its data",
  READONLY: "it is a replica that takes no writes",
  MASTERDOWN: "its primary is away",
  NOREPLICAS: "too few of its replicas are there",
  OOM: "its memory is used up. Give it more (maxmemory)",
  MISCONF: "it can't save to its disk. Look at its log",
  BUSY: "it is busy with a script",
  CLUSTERDOWN: "its cluster is down",
  TRYAGAIN: "it asks to try again",
};

/** Permanent error replies, and what to do. */
const LASTING: Readonly<Record<string, string>> = {
  NOAUTH: "it requires a password. Put one into REDIS_URL",
  WRONGPASS: "it refuses user or password. Correct REDIS_URL",
  NOPERM: "the user lacks rights. Allow it all commands on the channels' keys",
  WRONGTYPE:
    "a key that the channel needs holds something else. Rename that key, or use another database (redis://host:port/1)",
};

/** The error to throw if `action` failed with `error`. */
export function failureOf(
  action: string,
  { shown }: Address,
  error: unknown,
): TransientError | PermanentError {
  const code = codeOf(error);
  const because = (why: string) => `Cannot ${action}: Redis at "${shown}" answers, but ${why}.`;
  if (code !== undefined) {
    if (PASSING[code] !== undefined) return new TransientError(because(PASSING[code]), { cause: error });
    if (messageOf(error).startsWith("ERR max number of clients")) {
      return new TransientError(because("it has too many clients"), { cause: error });
    }
    return new PermanentError(because(LASTING[code] ?? `refuses: ${messageOf(error)}`), { cause: error });
  }
  if (error instanceof Deno.errors.NotCapable) {
    return new PermanentError(
      `Cannot ${action}: this process lacks permission to connect to "${shown}". Start it with --allow-net for that host.`,
      { cause: error },
    );
  }
  return new TransientError(
    `Cannot ${action}: Redis at "${shown}" can't be reached (${
      reasonsOf(error)
    }). Is it running? It keeps trying to reconnect.`,
    { cause: error },
  );
}
