/**
 * Connections to PostgreSQL whose waits are all bounded, and whose errors are the pipeline's two kinds.
 *
 * The client `postgres` speaks the protocol; which connection is used when, and that none is used after its end, is decided here: its own pool
 * writes to a socket that has closed in mid-transaction, which no caller can catch.
 *
 * @module
 */
import type { Socket } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import postgres from "postgres";
import { PermanentError } from "../../errors/errors.ts";
import { isLost, placeOfDatabase, postgresError } from "./errors.ts";
import { DIALECT, type Session, sessionOf, TYPES, type Wait } from "./session.ts";
import { connectSocket, SSL_MODES, type SslMode, type Way, WayError } from "./socket.ts";

/** How connections are made. */
export interface ConnectionOptions {
  /** What the server shows as the one who asks, such as `saver`. */
  readonly name: string;
  /** Most connections at once; who needs another one waits. Default 4. */
  readonly max?: number;
  /** Longest run time of a statement, in milliseconds. Default 30 s. */
  readonly statementMs?: number;
  /** Longest wait for a lock, in milliseconds. Default 10 s. */
  readonly lockMs?: number;
  /** Most bytes that the server may send for a statement; more end the connection. Default: no bound. */
  readonly mostBytes?: number;
  /** More settings of the session. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A statement that the server should have ended by itself is lost after this much more, in milliseconds. */
const SILENT_MS = 5_000;

/** A connection that nobody uses for so long is closed, in milliseconds. */
const IDLE_MS = 30_000;

/** At the end a server that doesn't answer is waited for so long, in seconds: a service that is stopped has little time left by then. */
const CLOSE_SECONDS = 2;

/** Connections to one database, made when they are needed. All methods throw what `postgresError` makes of errors. */
export class Postgres implements Session, AsyncDisposable {
  /** Host, port and name of the database, for messages. */
  readonly place: string;
  readonly dialect = DIALECT;
  readonly all: Session["all"];
  readonly get: Session["get"];
  readonly run: Session["run"];
  readonly lock: Session["lock"];
  readonly script: Session["script"];
  readonly table: Session["table"];
  readonly copy: Session["copy"];
  readonly #make: () => Link;
  readonly #max: number;
  readonly #waitMs: number;
  readonly #links = new Set<Link>();
  readonly #idle: Link[] = [];
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  #isClosed = false;

  /**
   * Connects to nothing yet.
   *
   * @throws PermanentError for an `sslmode` that isn't known.
   */
  constructor(url: string, options: ConnectionOptions) {
    const { max = 4, statementMs = 30_000 } = options;
    this.place = placeOfDatabase(url);
    const settings = settingsOf(url, options, this.place);
    this.#make = () => new Link(settings, statementMs + SILENT_MS, options.mostBytes ?? Infinity);
    this.#max = max;
    this.#waitMs = statementMs + SILENT_MS;
    const session = sessionOf((work) => this.#with((link) => work(link.sql, link.wait)));
    ({
      all: this.all,
      get: this.get,
      run: this.run,
      lock: this.lock,
      script: this.script,
      table: this.table,
      copy: this.copy,
    } = session);
  }

  /**
   * Runs `work` in a transaction: all is kept and synced to the disk, or, when `work` throws, nothing. `mode` is what may follow BEGIN, such as
   * `READ ONLY`. A connection that is lost while the commit is under way leaves open whether it was kept.
   */
  transaction<T>(work: (session: Session) => Promise<T>, mode = ""): Promise<T> {
    return this.#with(async ({ sql, wait }) => {
      await wait(sql.unsafe(`BEGIN ${mode}`));
      try {
        const session = sessionOf(async (step) => {
          try {
            return await step(sql, wait);
          } catch (error) {
            throw postgresError(this.place, error);
          }
        });
        const result = await work(session);
        const { command } = await wait(sql.unsafe("COMMIT"));
        // after an error that `work` caught
        if (command === "ROLLBACK") throw new Error("A statement of the transaction failed.");
        return result;
      } catch (error) {
        await wait(sql.unsafe("ROLLBACK")).catch(() => {}); // a lost connection has done so by itself
        throw error;
      }
    });
  }

  /** Ends all connections at once; the server ends what they run as soon as it notices. */
  abandon(): void {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(lost());
    for (const link of [...this.#links]) link.abandon();
  }

  /** Closes all connections, once the statements that run have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(lost());
    await Promise.all([...this.#links].map((link) => link.close()));
  }

  async #with<T>(work: (link: Link) => Promise<T>): Promise<T> {
    try {
      const link = await this.#take();
      try {
        return await work(link);
      } catch (error) {
        if (isLost(error) || isLost((error as Error)?.cause)) {
          // the others are probably lost too, and haven't noticed
          await Promise.all([link, ...this.#idle.splice(0)].map((one) => one.close()));
        }
        throw error;
      } finally {
        this.#giveBack(link);
      }
    } catch (error) {
      throw postgresError(this.place, error);
    }
  }

  async #take(): Promise<Link> {
    const deadline = performance.now() + this.#waitMs;
    for (;;) {
      if (this.#isClosed) throw lost();
      const link = this.#idle.pop();
      if (link?.isOpen()) return link;
      if (link !== undefined) continue;
      if (this.#links.size < this.#max) {
        const made = this.#make();
        this.#links.add(made);
        made.onClose = () => this.#links.delete(made) && this.#waiting.shift()?.resolve();
        return made;
      }
      const turn = Promise.withResolvers<void>();
      this.#waiting.push(turn);
      const timer = setTimeout(() => turn.reject(new WayError("SILENT")), deadline - performance.now());
      try {
        await turn.promise;
      } finally {
        clearTimeout(timer);
        const at = this.#waiting.indexOf(turn);
        if (at >= 0) this.#waiting.splice(at, 1);
      }
    }
  }

  #giveBack(link: Link): void {
    if (this.#isClosed) return void link.close();
    if (link.isOpen()) {
      this.#idle.push(link);
      link.rest(IDLE_MS);
    }
    this.#waiting.shift()?.resolve();
  }
}

/** What a connection is made with. */
interface Settings extends Way {
  readonly database: string;
  readonly user: string;
  readonly pass: string;
  /** Of the session. */
  readonly connection: Readonly<Record<string, string | number>>;
}

/** One connection, used by one at a time; after its end it is never used again. */
class Link {
  readonly sql: postgres.Sql;
  onClose = () => {};
  /** Ends what is waited for. Not one promise for all, which would keep the result of each race against it. */
  readonly #waits = new Set<(why: Error) => void>();
  #socket: Socket | undefined;
  #received = 0;
  #isOpen = true;
  #timer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    { host, port, sslMode, rootCert, ...settings }: Settings,
    private readonly ms: number,
    private readonly mostBytes: number,
  ) {
    this.sql = postgres({
      ...CLIENT,
      ...settings,
      host,
      port,
      socket: async () => {
        if (this.#socket !== undefined) throw lost(); // the client would connect again by itself
        this.#socket = await connectSocket({ host, port, sslMode, rootCert });
        this.#socket.prependListener("close", () => this.#ended());
        this.#socket.prependListener("data", (bytes: Uint8Array) => {
          this.#received += bytes.length;
          if (this.#received > this.mostBytes) this.#ended(new WayError("TOO_LARGE"));
        });
        return this.#socket;
      },
    } as unknown as postgres.Options<Record<string, postgres.PostgresType>>);
  }

  isOpen(): boolean {
    clearTimeout(this.#timer);
    return this.#isOpen;
  }

  /** Closes the connection unless it is used within `ms`. */
  rest(ms: number): void {
    this.#timer = setTimeout(() => void this.close(), ms).unref();
  }

  readonly wait: Wait = async (work) => {
    if (!this.#isOpen) throw lost();
    this.#received = 0;
    const ended = Promise.withResolvers<never>();
    this.#waits.add(ended.reject);
    const timer = setTimeout(() => {
      ended.reject(new WayError("SILENT"));
      this.#ended();
    }, this.ms);
    try {
      return await Promise.race([work, ended.promise]);
    } catch (error) {
      if (this.#socket === undefined) this.#ended(); // it never was connected
      throw error;
    } finally {
      clearTimeout(timer);
      this.#waits.delete(ended.reject);
    }
  };

  close(): Promise<void> {
    clearTimeout(this.#timer);
    return this.#closing ??= this.sql.end({ timeout: this.#isOpen ? CLOSE_SECONDS : 0 }).then(() =>
      this.#ended()
    );
  }

  abandon(): void {
    this.#ended();
  }

  #ended(why = lost()): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearTimeout(this.#timer);
    for (const end of this.#waits) end(why);
    this.#socket?.destroy();
    this.onClose();
  }
}

/** All that the client would else take from the environment or decide by itself. */
const CLIENT = {
  max: 1,
  ssl: false,
  idle_timeout: null,
  connect_timeout: 10,
  max_lifetime: null,
  max_pipeline: 1,
  backoff: false,
  keep_alive: 60,
  prepare: true,
  debug: false,
  fetch_types: false,
  publications: "",
  sslnegotiation: null,
  target_session_attrs: null,
  onnotice: () => {},
  types: TYPES,
};

function settingsOf(url: string, options: ConnectionOptions, place: string): Settings {
  const { name, statementMs = 30_000, lockMs = 10_000, settings = {} } = options;
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  const { sslmode = "prefer", sslrootcert, ...own } = Object.fromEntries(searchParams);
  if (!SSL_MODES.some((mode) => mode === sslmode)) {
    throw new PermanentError(
      `Cannot use the database ${place}: sslmode is "${sslmode}", wanted one of ${
        SSL_MODES.join(", ")
      }. Correct DATABASE_URL, and start again.`,
    );
  }
  return {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(port || 5432),
    database: decodeURIComponent(pathname.slice(1)),
    user: decodeURIComponent(username),
    pass: decodeURIComponent(password),
    sslMode: sslmode as SslMode,
    rootCert: sslrootcert,
    connection: {
      application_name: `etl ${name}`,
      statement_timeout: statementMs,
      lock_timeout: lockMs,
      // a machine that is gone keeps no lock
      idle_in_transaction_session_timeout: 60_000,
      tcp_keepalives_idle: 10,
      tcp_keepalives_interval: 5,
      tcp_keepalives_count: 3,
      client_connection_check_interval: 5_000,
      default_transaction_isolation: "read committed",
      ...settings,
      ...own,
    },
  };
}

function lost(): Error {
  return Object.assign(new Error(), { code: "CONNECTION_CLOSED" });
}
