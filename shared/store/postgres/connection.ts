/**
 * Connections to PostgreSQL. Every wait has a time limit, and errors are transient or permanent.
 *
 * The client `postgres` implements the protocol; the pool is ours. The client's own pool writes to a socket that has closed during a transaction, an
 * error that no caller can catch.
 */
import type { Socket } from "node:net";
import { clearTimeout, setTimeout } from "node:timers";
import postgres from "postgres";
import { PermanentError } from "../../errors/errors.ts";
import { isLost, placeOfDatabase, postgresError, settingError } from "./errors.ts";
import { DIALECT, type Session, sessionOf, sqlText, TYPES, type Wait } from "./session.ts";
import { ConnectionError, connectSocket, type Endpoint, SSL_MODES, type SslMode } from "./socket.ts";

export interface ConnectionOptions {
  /** The name of the service, such as `saver`, which the server shows with its connections. */
  readonly name: string;
  /** The maximum number of connections; further work waits for a free one. Default 4. */
  readonly max?: number;
  /** Time limit of a statement, in milliseconds. Default 30 s. */
  readonly statementMs?: number;
  /** Longest wait for a lock, in milliseconds. Default 10 s. */
  readonly lockMs?: number;
  /** The maximum number of bytes that the server may send for a statement; more end the connection. Default: no limit. */
  readonly mostBytes?: number;
  /** More settings of the session. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** How long to wait beyond a statement's time limit before the connection counts as lost, in milliseconds. */
const SILENT_MS = 5_000;

/** How long a connection may be idle before it is closed, in milliseconds. */
const IDLE_MS = 30_000;

/** How long closing waits for a server that doesn't answer, in seconds: a stopping service has little time left. */
const CLOSE_SECONDS = 2;

/** Connections to one database, opened on demand. All methods classify errors with `postgresError`. */
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
   * Opens no connection yet.
   *
   * @throws PermanentError for an unknown `sslmode`.
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
   * Runs `work` in a transaction, which is committed durably, or rolled back if `work` throws. `mode` may follow BEGIN, such as `READ ONLY`. If the
   * connection is lost during the commit, the outcome is unknown.
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
        // `work` caught an error
        if (command === "ROLLBACK") throw new Error("A statement of the transaction failed.");
        return result;
      } catch (error) {
        await wait(sql.unsafe("ROLLBACK")).catch(() => {}); // a lost connection is rolled back by the server
        throw error;
      }
    });
  }

  /** Ends all connections immediately; the server aborts their statements once it notices. */
  abandon(): void {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(lost());
    for (const link of [...this.#links]) link.abandon();
  }

  /** Closes all connections after their running statements. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(lost());
    await Promise.all([...this.#links].map((link) => link.close()));
  }

  async #with<T>(work: (link: Link) => Promise<T>): Promise<T> {
    try {
      const link = await this.#take();
      try {
        await link.begin(this.place);
        return await work(link);
      } catch (error) {
        if (isLost(error) || isLost((error as Error)?.cause)) {
          // the idle ones are probably lost too
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
      const timer = setTimeout(
        () => turn.reject(new ConnectionError("SILENT")),
        deadline - performance.now(),
      );
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

interface Settings extends Endpoint {
  readonly database: string;
  readonly user: string;
  readonly pass: string;
  /** Parameters of the connection's start. */
  readonly connection: Readonly<Record<string, string>>;
  /** SQL that makes the settings of the session. Not a part of the start: poolers refuse them there. */
  readonly begin: string;
}

/** One connection, used by one caller at a time, and never after its end. */
class Link {
  readonly sql: postgres.Sql;
  onClose = () => {};
  /** Rejects the pending waits. Not one promise for all waits, which would retain the result of each race. */
  readonly #waits = new Set<(why: Error) => void>();
  #socket: Socket | undefined;
  #received = 0;
  #isOpen = true;
  #timer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  readonly #begin: string;
  #begun: Promise<unknown> | undefined;

  constructor(
    { host, port, sslMode, rootCert, begin, ...settings }: Settings,
    private readonly ms: number,
    private readonly mostBytes: number,
  ) {
    this.#begin = begin;
    this.sql = postgres({
      ...CLIENT,
      ...settings,
      host,
      port,
      socket: async () => {
        if (this.#socket !== undefined) throw lost(); // the client would reconnect
        this.#socket = await connectSocket({ host, port, sslMode, rootCert });
        this.#socket.prependListener("close", () => this.#ended());
        this.#socket.prependListener("data", (bytes: Uint8Array) => {
          this.#received += bytes.length;
          if (this.#received > this.mostBytes) this.#ended(new ConnectionError("TOO_LARGE"));
        });
        return this.#socket;
      },
    } as unknown as postgres.Options<Record<string, postgres.PostgresType>>);
  }

  /** Makes the settings of the session, once. */
  begin(place: string): Promise<unknown> {
    return this.#begun ??= this.wait(this.sql.unsafe(this.#begin).simple()).catch((error) => {
      this.abandon();
      throw settingError(place, error);
    });
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
      ended.reject(new ConnectionError("SILENT"));
      this.#ended();
    }, this.ms);
    try {
      return await Promise.race([work, ended.promise]);
    } catch (error) {
      if (this.#socket === undefined) this.#ended(); // it was never connected
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

/** Overrides what the client would take from the environment, and its defaults. */
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
  const { sslmode = "prefer", sslrootcert, application_name = `etl ${name}`, options: start, ...own } = Object
    .fromEntries(searchParams);
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
    connection: { application_name, ...start === undefined ? {} : { options: start } },
    begin: settingSql({
      statement_timeout: statementMs,
      lock_timeout: lockMs,
      // releases the locks of a machine that has died
      idle_in_transaction_session_timeout: 60_000,
      tcp_keepalives_idle: 10,
      tcp_keepalives_interval: 5,
      tcp_keepalives_count: 3,
      client_connection_check_interval: 5_000,
      default_transaction_isolation: "read committed",
      ...settings,
      ...own,
    }),
  };
}

function settingSql(settings: Readonly<Record<string, string | number>>): string {
  const calls = Object.entries(settings).map(([name, value]) =>
    `set_config(${sqlText(name)}, ${sqlText(String(value))}, false)`
  );
  return `SELECT ${calls.join(", ")}`;
}

function lost(): Error {
  return Object.assign(new Error(), { code: "CONNECTION_CLOSED" });
}
