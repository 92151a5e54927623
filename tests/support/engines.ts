/**
 * The engines of the store: a test that holds for each of them is written once.
 *
 * ```ts
 * onEachEngine("a saver that is killed in mid-file leaves nothing of that file", async (engine) => {
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

/** An engine, and a place for a store of one's own. */
export interface Engine {
  /** Whether a server keeps it, so that it isn't in the working folder. */
  readonly isShared: boolean;
  place(): Promise<TempPlace>;
}

/** Where a store may be made. Disposing of it removes what is there. */
export interface TempPlace extends AsyncDisposable {
  readonly at: StorePlace;
  /** The rows of a query, as somebody with the engine's own client sees them; nothing before the tables are there. */
  rows<Row = Record<string, unknown>>(query: string): Row[];
  /** Changes what is there behind the store's back. */
  change(sql: string): Promise<void>;
  /** Until it is disposed of, queries share a connection, for who looks again and again: opening one reads the whole schema. */
  keepOpen(): Disposable;
}

/** SQLite, the engine of one machine. */
export const SQLITE: Engine = {
  isShared: false,
  async place() {
    const folder = await Deno.makeTempDir({ prefix: "store-" });
    return Object.assign(sqliteAt(`${folder}/data.db`), {
      [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
    });
  },
};

/** The SQLite database at `path`. */
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

/** The server of a test file, its template of a database with the tables of users, and a thread that reads. */
interface Shared extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly template: string;
  readonly reader: Reader;
}

let shared: Shared | undefined;

/** Starts what the tests of a file share. It syncs nothing: who tests what a power cut leaves starts a server of its own. */
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

/** PostgreSQL, on the server that a test file has for itself. */
export const POSTGRES: Engine = {
  isShared: true,
  place: () => placeOn(shared!.server, `TEMPLATE ${shared!.template}`),
};

/** PostgreSQL on a server of one's own, to be hurt. What reads its places is that of this file's tests, so they have to be `sharing`. */
export function postgresOn(server: PostgresServer): Engine {
  return { isShared: true, place: () => placeOn(server) };
}

/** A database of one's own on `server`, which goes with it. */
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

/** The channel that goes with an engine, for tests in which either kind of both has to occur, but not each pair. */
export function channelBeside(engine: Engine): "embedded" | "redis" {
  return engine === SQLITE ? "embedded" : "redis";
}

interface Reader {
  rows<Row>(url: string, query: string): Row[];
  end(): void;
}

/** Starts a thread that queries while this one waits, so that tests read both engines in the same way. */
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

/** Starts what the places on PostgreSQL of this process share. Tests call `sharing`; this is for a program that is no test. */
export async function startSharing(): Promise<AsyncDisposable> {
  const own = await share();
  shared = own;
  return own;
}

let isShared = false;

/** Has the tests of this file share a server; `onEachEngine` does so by itself. */
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

/** Registers a test for each engine, under its name and that of the engine. */
export function onEachEngine(
  name: string,
  work: (engine: Engine) => Promise<void>,
  ...programs: Program[]
): void {
  sharing();
  needing(...programs)(`${name} (SQLite)`, () => work(SQLITE));
  needing(...programs, "postgres")(`${name} (PostgreSQL)`, () => work(POSTGRES));
}

/** A store with the tables of users in a place of its own. */
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
