/**
 * The engines of the store. A test for all engines is written once:
 *
 * ```ts
 * onEachEngine("a saver that is killed during a file leaves nothing of that file", async (engine) => {
 *   await using place = await engine.place();
 *   await using store = await openStore(place.at, usersTables([]));
 * });
 * ```
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { openStore, type StorePlace } from "../../shared/store/open.ts";
import type { Store } from "../../shared/store/store.ts";
import { needing, placeOf, type Program } from "./needs.ts";
import { type PostgresServer, startPostgres } from "./postgres.ts";
import { usersTables } from "./store.ts";

/** An engine, and a separate place for each store. */
export interface Engine {
  /** Whether a server keeps the data, outside of the working folder. */
  readonly isShared: boolean;
  place(): Promise<TempPlace>;
}

/** The location of a store. Disposing of it removes the data. */
export interface TempPlace extends AsyncDisposable {
  readonly at: StorePlace;
  /** Returns the rows of a query by the engine's own client; none before the tables exist. */
  rows<Row = Record<string, unknown>>(query: string): Row[];
  /** Changes the database behind the store's back. */
  change(sql: string): Promise<void>;
  /**
   * Until it is disposed of, queries share a connection. For repeated queries, as each new connection reads
   * the whole schema.
   */
  keepOpen(): Disposable;
}

/** SQLite, the engine for a single machine. */
export const SQLITE: Engine = {
  isShared: false,
  async place() {
    const folder = await Deno.makeTempDir({ prefix: "store-" });
    return Object.assign(sqliteAt(`${folder}/data.db`), {
      [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
    });
  },
};

/** Returns the SQLite database at `path`. */
export function sqliteAt(path: string): Omit<TempPlace, typeof Symbol.asyncDispose> {
  let keepers = 0;
  let database: DatabaseSync | undefined;
  const closeUnkept = () => {
    if (keepers > 0) return;
    database?.close();
    database = undefined;
  };
  return {
    at: { path },
    rows<Row>(query: string) {
      try {
        database ??= new DatabaseSync(path, { readOnly: true, timeout: 1_000 });
        return database.prepare(query).all().map((row) => ({ ...row })) as Row[];
      } catch (error) {
        if (/unable to open database file|no such table/.test((error as Error).message)) return [];
        throw error;
      } finally {
        closeUnkept();
      }
    },
    change(sql) {
      using database = new DatabaseSync(path, { timeout: 5_000 });
      return Promise.resolve(database.exec(sql));
    },
    keepOpen() {
      keepers += 1;
      return {
        [Symbol.dispose]() {
          keepers -= 1;
          closeUnkept();
        },
      };
    },
  };
}

/** The server of a test file, a template database with the tables of users, and a thread for queries. */
interface Shared extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly template: string;
  readonly reader: Reader;
}

let shared: Shared | undefined;

/**
 * Starts what the tests of a file share. The server doesn't sync to disk: tests of power cuts start a
 * separate server.
 */
async function share(): Promise<Shared> {
  await using owned = new AsyncDisposableStack();
  const settings = { fsync: "off", full_page_writes: "off" };
  const server = owned.use(await startPostgres({ settings, quiet: true }));
  const url = await server.createDatabase();
  await (await openStore({ url }, usersTables([])))[Symbol.asyncDispose]();
  const reader = owned.adopt(await startReader(), (reader) => reader.end());
  const all = owned.move();
  return { server, template: databaseOf(url), reader, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

const databaseOf = (url: string) => new URL(url).pathname.slice(1);

/** PostgreSQL, on a server that the tests of a file share. */
export const POSTGRES: Engine = {
  isShared: true,
  place: () => placeOn(shared!.server, `TEMPLATE ${shared!.template}`),
};

/**
 * PostgreSQL on a separate server, for faults. Its places are read by the shared thread, so the tests have to
 * call `sharing`.
 */
export function postgresOn(server: PostgresServer): Engine {
  return { isShared: true, place: () => placeOn(server) };
}

/** Creates a database on `server`, which is removed with the server. */
async function placeOn(server: PostgresServer, options?: string): Promise<TempPlace> {
  const url = await server.createDatabase(options);
  return {
    at: { url },
    rows: (query) => shared!.reader.rows(url, query),
    change: async (sql) => void await server.psql(sql, databaseOf(url)),
    keepOpen: () => ({ [Symbol.dispose]: () => {} }), // the thread keeps its connections
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Returns the channel to combine with an engine, for tests that cover each kind of both, but not each pair. */
export function channelBeside(engine: Engine): "embedded" | "redis" {
  return engine === SQLITE ? "embedded" : "redis";
}

interface Reader {
  rows<Row>(url: string, query: string): Row[];
  end(): void;
}

/** Starts a thread that queries while the calling thread blocks, so that tests read both engines in the same way. */
async function startReader(): Promise<Reader> {
  const answer = new SharedArrayBuffer(32_000_000);
  const state = new Int32Array(answer, 0, 2), bytes = new Uint8Array(answer, 8);
  const thread = new Worker(new URL("./reader_thread.ts", import.meta.url), { type: "module" });
  await new Promise((resolve, reject) => {
    thread.onmessage = resolve;
    thread.onerror = reject;
    thread.postMessage(answer);
  });
  return {
    rows<Row>(url: string, query: string) {
      thread.postMessage({ url, query });
      Atomics.wait(state, 0, 0);
      Atomics.store(state, 0, 0);
      const { rows, error } = JSON.parse(new TextDecoder().decode(bytes.slice(0, state[1]))) as {
        rows?: Row[];
        error?: string;
      };
      if (rows === undefined) throw new Error(error);
      return rows;
    },
    end: () => thread.terminate(),
  };
}

/** Starts what the places on PostgreSQL in this process share. For programs other than tests; tests call `sharing`. */
export async function startSharing(): Promise<AsyncDisposable> {
  const own = await share();
  shared = own;
  return own;
}

let isShared = false;

/** Starts a server that the tests of this file share. `onEachEngine` calls it. */
export function sharing(): void {
  if (isShared) return;
  isShared = true;
  let own: AsyncDisposable | undefined;
  Deno.test.beforeAll(async () => {
    if (placeOf("postgres") !== undefined) own = await startSharing();
  });
  Deno.test.afterAll(async () => {
    await own?.[Symbol.asyncDispose]();
  });
}

/** Registers a test for each engine, with the engine in its name. */
export function onEachEngine(
  name: string,
  work: (engine: Engine) => Promise<void>,
  ...programs: Program[]
): void {
  sharing();
  needing(...programs)(`${name} (SQLite)`, () => work(SQLITE));
  needing(...programs, "postgres")(`${name} (PostgreSQL)`, () => work(POSTGRES));
}

/** Opens a store with the tables of users in a new place. */
export async function storeOn(
  engine: Engine,
  masked: readonly string[] = [],
): Promise<TempPlace & { readonly store: Store }> {
  await using owned = new AsyncDisposableStack();
  const place = owned.use(await engine.place());
  const store = owned.use(await openStore(place.at, usersTables(masked)));
  const all = owned.move();
  return { ...place, store, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
