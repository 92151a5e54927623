/**
 * Opens the store that the configuration names.
 *
 * @module
 */
import type { State } from "../files/state.ts";
import { placeOfDatabase } from "./postgres/errors.ts";
import { PostgresState } from "./postgres/extractor_state.ts";
import { openPostgresToRead } from "./postgres/read_store.ts";
import { openPostgres } from "./postgres/store.ts";
import type { Defined } from "./shown.ts";
import { openSqlite, openSqliteToRead } from "./sqlite/open.ts";
import type { ReadStore, Store } from "./store.ts";

export { type Copy, copyStore } from "./copy.ts";
export { grantSql, inspect, inspectConsole } from "./postgres/inspect.ts";

/** Where runs and records are kept: in the file of an SQLite database, or in the PostgreSQL database at an address. */
export type StorePlace = { readonly path: string } | { readonly url: string };

/** The place as people may see it: without user and password. */
export function shownPlace(place: StorePlace): string {
  return "path" in place ? place.path : placeOfDatabase(place.url);
}

/**
 * Opens the store to write: makes it where it isn't there, and brings its schema up to date. `pipelines` are those whose records are to be loaded.
 *
 * @throws PermanentError when it is damaged, foreign, or made by a newer program; it is left as it is.
 * @throws TransientError when it is locked or away.
 */
export async function openStore(place: StorePlace, pipelines: readonly Defined[]): Promise<Store> {
  return "path" in place
    ? await openSqlite(place.path, { pipelines })
    : await openPostgres(place.url, pipelines);
}

/**
 * Opens the store to read. Answers undefined while it isn't there yet, or the saver hasn't brought it to this program's schema yet: ask again later.
 *
 * @throws PermanentError when it is damaged, unreadable, or made by a newer program.
 */
export async function openStoreToRead(place: StorePlace): Promise<ReadStore | undefined> {
  return "path" in place ? openSqliteToRead(place.path) : await openPostgresToRead(place.url);
}

/**
 * Opens what the extractor keeps in the PostgreSQL database at `url`; a lock whose holder isn't heard of for `leaseMs` is free.
 *
 * @throws PermanentError when the database can't be used as it is, TransientError while it is away.
 */
export async function openExtractorState(url: string, leaseMs: number): Promise<State & AsyncDisposable> {
  return await PostgresState.open(url, leaseMs);
}
