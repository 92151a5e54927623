/** Batched reads: one query for all rows of a list instead of one each. */
import DataLoader from "dataloader";
import type { RunEvent } from "../../shared/contracts/messages.ts";
import type { MoveRow } from "../../shared/store/current_rows.ts";
import type { DeliveryRow, FileRow, HoldRow, RecordRow, RunRow } from "../../shared/store/rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";

export interface Loaders {
  readonly run: DataLoader<string, RunRow | undefined>;
  readonly events: DataLoader<string, RunEvent[]>;
  readonly files: DataLoader<string, FileRow[]>;
  readonly deliveries: DataLoader<string, DeliveryRow[]>;
  readonly hold: DataLoader<string, HoldRow | undefined>;
  readonly corrections: DataLoader<string, RunRow[]>;
  /** By the id of an invalid record. */
  readonly recordCorrections: DataLoader<number, number[]>;
  /** By the id of a raw record. */
  readonly recordCorrected: DataLoader<number, number | undefined>;
  readonly rawRecord: DataLoader<number, RecordRow | undefined>;
  readonly invalidRecord: DataLoader<number, RecordRow | undefined>;
  readonly processedRecord: DataLoader<number, RecordRow | undefined>;
  readonly move: DataLoader<string, MoveRow | undefined>;
}

/** The reads of one request; without a database they find nothing. No cache, as a subscription's request lasts. */
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
