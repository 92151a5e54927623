/** Opens the store that the configuration names. */
import type { State } from "../files/state.ts";
import { placeOfDatabase } from "./postgres/errors.ts";
import { PostgresState } from "./postgres/extractor_state.ts";
import { openPostgresToRead } from "./postgres/reads.ts";
import { openPostgres } from "./postgres/store.ts";
import type { Defined } from "./shown.ts";
import { openSqlite, openSqliteToRead } from "./sqlite/open.ts";
import type { ReadStore, Store } from "./store.ts";

export { type Copy, copyStore } from "./copy.ts";
export { grantSql, inspect, inspectConsole } from "./postgres/inspect.ts";

/** Where runs and records are kept: in the file of an SQLite database, or in the PostgreSQL database at an address. */
export type StorePlace = { readonly path: string } | { readonly url: string };

/** The place without user and password, for people to see. */
export function shownPlace(place: StorePlace): string {
  return "path" in place ? place.path : placeOfDatabase(place.url);
}

/**
 * Opens the store for writing: creates it if missing, and migrates its schema. `pipelines` are those whose records will be loaded.
 *
 * @throws PermanentError if it is damaged, foreign, or made by a newer version; it stays unchanged.
 * @throws TransientError if it is locked or can't be reached.
 */
export async function openStore(place: StorePlace, pipelines: readonly Defined[]): Promise<Store> {
  return "path" in place
    ? await openSqlite(place.path, { pipelines })
    : await openPostgres(place.url, pipelines);
}

/**
 * Opens the store for reading. Returns undefined until the saver has created it and migrated it to this version's schema: ask again later.
 *
 * @throws PermanentError if it is damaged, unreadable, or made by a newer version.
 */
export async function openStoreToRead(place: StorePlace): Promise<ReadStore | undefined> {
  return "path" in place ? openSqliteToRead(place.path) : await openPostgresToRead(place.url);
}

/**
 * Opens the extractor's state in the PostgreSQL database at `url`. A lock that isn't renewed for `leaseMs` expires.
 *
 * @throws PermanentError if the database can't be used as it is, TransientError while it can't be reached.
 */
export async function openExtractorState(url: string, leaseMs: number): Promise<State & AsyncDisposable> {
  return await PostgresState.open(url, leaseMs);
}
