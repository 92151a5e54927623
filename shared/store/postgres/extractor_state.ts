/** The extractor's state in PostgreSQL, so that another machine can resume the run of one that died. */
import { hostname } from "node:os";
import { clearInterval, setInterval } from "node:timers";
import { Busy, TransientError } from "../../errors/errors.ts";
import type { Documents } from "../../files/documents.ts";
import type { LockOptions, State, StateLock } from "../../files/state.ts";
import { Postgres } from "./connection.ts";
import { checkServer, migrate } from "./migrate.ts";
import type { Bindable } from "../sql/sql.ts";

/** How often a waiting extractor checks whether a lock is free, in milliseconds. */
const STEP_MS = 500;

/** State in rows, and locks that are leases: a lock that isn't renewed for `leaseMs` expires. */
export class PostgresState implements State, AsyncDisposable {
  readonly #leaseMs: number;
  readonly #releases = new Set<Promise<void>>();

  private constructor(private readonly db: Postgres, leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** Migrates the schema first, as the extractor may be the first service to start. @throws as `migrate` and `checkServer`. */
  static async open(url: string, leaseMs: number): Promise<PostgresState> {
    await using opened = new AsyncDisposableStack();
    const db = opened.use(new Postgres(url, { name: "extractor" }));
    await checkServer(db);
    await migrate(db);
    opened.move();
    return new PostgresState(db, leaseMs);
  }

  placeOf(name: string): string {
    return `${name} in ${this.db.place}`;
  }

  async read(name: string): Promise<string | undefined> {
    return (await this.db.get<{ body: string }>("SELECT body FROM extractor_state WHERE name = $1", name))
      ?.body;
  }

  async write(name: string, text: string): Promise<void> {
    await this.db.run(
      `INSERT INTO extractor_state VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET body = excluded.body`,
      name,
      text,
    );
  }

  async remove(name: string): Promise<void> {
    await this.db.run("DELETE FROM extractor_state WHERE name = $1", name);
  }

  async *list(folder: string): AsyncGenerator<string> {
    const below = `${folder}/`;
    const rows = await this.db.all<{ name: string }>(
      "SELECT name FROM extractor_state WHERE starts_with(name, $1) ORDER BY name",
      below,
    );
    for (const { name } of rows) yield name;
  }

  async lock(name: string, { waitMs, sleep, signal }: LockOptions): Promise<StateLock> {
    await Promise.all(this.#releases);
    for (let waited = 0;; waited += STEP_MS) {
      const taken = await this.db.get<{ fence: number }>(
        `INSERT INTO leases VALUES ($1, 1, $2, clock_timestamp() + $3::float8 * interval '1 millisecond')
         ON CONFLICT (name) DO UPDATE
           SET fence = leases.fence + 1, holder = excluded.holder, expires_at = excluded.expires_at
           WHERE leases.expires_at <= clock_timestamp()
         RETURNING fence`,
        name,
        `process ${Deno.pid} on ${hostname()} since ${new Date().toISOString()}`,
        this.#leaseMs,
      );
      if (taken !== undefined) return this.#held(name, taken.fence);
      if (waited >= waitMs) {
        const lease = await this.db.get<{ holder: string }>(
          "SELECT holder FROM leases WHERE name = $1",
          name,
        );
        throw new Busy(
          `Cannot start to extract: ${lease?.holder} holds the lock ${
            this.placeOf(name)
          }. It will be retried.`,
        );
      }
      await sleep(STEP_MS, signal);
      signal.throwIfAborted();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#releases);
    await this.db[Symbol.asyncDispose]();
  }

  #held(name: string, fence: number): StateLock {
    const renewing = setInterval(() => {
      this.db.run(
        `UPDATE leases SET expires_at = clock_timestamp() + $3::float8 * interval '1 millisecond'
         WHERE name = $1 AND fence = $2`,
        name,
        fence,
        this.#leaseMs,
      ).catch(() => {}); // the next renewal may succeed; a write checks whether the lease is still held
    }, this.#leaseMs / 3);
    return {
      documents: this.#fenced(name, fence),
      [Symbol.dispose]: () => {
        clearInterval(renewing);
        const release = this.db.run(
          "UPDATE leases SET fence = fence + 1, expires_at = '-infinity' WHERE name = $1 AND fence = $2",
          name,
          fence,
        ).then(() => {}, () => {}) // otherwise the lease expires
          .finally(() => this.#releases.delete(release));
        this.#releases.add(release);
      },
    };
  }

  /** The same documents, writable only while the lease is held; each write also renews it, in one statement. */
  #fenced(lease: string, fence: number): Documents {
    const change = async (action: string, name: string, statement: string, ...values: Bindable[]) => {
      const { held } = (await this.db.get<{ held: number }>(
        `WITH mine AS (
           UPDATE leases SET expires_at = clock_timestamp() + $3::float8 * interval '1 millisecond'
           WHERE name = $1 AND fence = $2 RETURNING fence
         ), changed AS (${statement})
         SELECT count(*) AS held FROM mine`,
        lease,
        fence,
        this.#leaseMs,
        name,
        ...values,
      ))!;
      if (held > 0) return;
      throw new TransientError(
        `Cannot ${action} ${this.placeOf(name)}: another process has taken the lock, ` +
          `as this one wasn't heard of for ${this.#leaseMs / 1_000} s. It will be retried.`,
      );
    };
    return {
      placeOf: (name) => this.placeOf(name),
      read: (name) => this.read(name),
      list: (folder) => this.list(folder),
      write: (name, text) =>
        change(
          "write",
          name,
          `INSERT INTO extractor_state SELECT $4::text, $5::text FROM mine
           ON CONFLICT (name) DO UPDATE SET body = excluded.body`,
          text,
        ),
      remove: (name) =>
        change("remove", name, "DELETE FROM extractor_state WHERE name = $4 AND EXISTS (SELECT FROM mine)"),
    };
  }
}
