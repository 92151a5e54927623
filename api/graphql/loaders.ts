/**
 * Reads that a list would otherwise do for each of its rows: gathered over the request's fields, and done in one query.
 *
 * @module
 */
import DataLoader from "dataloader";
import type { RunEvent } from "../../shared/contracts/messages.ts";
import type { MoveRow } from "../../shared/store/current_rows.ts";
import type { DeliveryRow, FileRow, HoldRow, RecordRow, RunRow } from "../../shared/store/rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";

/** The reads, each by the id of what it belongs to. */
export interface Loaders {
  readonly run: DataLoader<string, RunRow | undefined>;
  /** Events of a run, oldest first. */
  readonly events: DataLoader<string, RunEvent[]>;
  /** Loaded files of a run. */
  readonly files: DataLoader<string, FileRow[]>;
  /** Delivered files of a run. */
  readonly deliveries: DataLoader<string, DeliveryRow[]>;
  /** The hold of a run. */
  readonly hold: DataLoader<string, HoldRow | undefined>;
  /** Runs that correct a run, newest first. */
  readonly corrections: DataLoader<string, RunRow[]>;
  /** Ids of the raw records that correct an invalid record. */
  readonly recordCorrections: DataLoader<number, number[]>;
  /** The id of the invalid record that a raw record corrects. */
  readonly recordCorrected: DataLoader<number, number | undefined>;
  readonly rawRecord: DataLoader<number, RecordRow | undefined>;
  readonly invalidRecord: DataLoader<number, RecordRow | undefined>;
  readonly processedRecord: DataLoader<number, RecordRow | undefined>;
  /** What a run did to the current state. */
  readonly move: DataLoader<string, MoveRow | undefined>;
}

/** Makes the reads of one request. Without a database they find nothing. Nothing is remembered, as a subscription's request lasts. */
export function makeLoaders(open: () => Promise<ReadStore | undefined>): Loaders {
  const loader = <K extends string | number, V>(
    read: (store: ReadStore, keys: readonly K[]) => Promise<Map<K, V>>,
    none: V,
  ) =>
    new DataLoader<K, V>(async (keys) => {
      const store = await open();
      const found = store === undefined ? undefined : await read(store, keys);
      return keys.map((key) => found?.get(key) ?? none);
    }, { cache: false });
  return {
    run: loader<string, RunRow | undefined>(({ runs }, ids) => runs.byRunIds(ids), undefined),
    events: loader<string, RunEvent[]>(({ runs }, ids) => runs.eventsOf(ids), []),
    files: loader<string, FileRow[]>(({ runs }, ids) => runs.filesOf(ids), []),
    deliveries: loader<string, DeliveryRow[]>(({ runs }, ids) => runs.deliveriesOf(ids), []),
    hold: loader<string, HoldRow | undefined>(({ holds }, ids) => holds.ofRuns(ids), undefined),
    corrections: loader<string, RunRow[]>(({ runs }, ids) => runs.correctionsOf(ids), []),
    recordCorrections: loader<number, number[]>(({ records }, ids) => records.correctionsOf(ids), []),
    recordCorrected: loader<number, number | undefined>(
      ({ records }, ids) => records.correctedBy(ids),
      undefined,
    ),
    rawRecord: loader<number, RecordRow | undefined>(
      ({ records }, ids) => records.byIds("raw", ids),
      undefined,
    ),
    invalidRecord: loader<number, RecordRow | undefined>(
      ({ records }, ids) => records.byIds("invalid", ids),
      undefined,
    ),
    processedRecord: loader<number, RecordRow | undefined>(
      ({ records }, ids) => records.byIds("processed", ids),
      undefined,
    ),
    move: loader<string, MoveRow | undefined>(({ current }, ids) => current.moves(ids), undefined),
  };
}
