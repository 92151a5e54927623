/** Batched reads: one query for all rows of a list instead of one each. */
import DataLoader from "dataloader";
import type { ReadStore } from "../../shared/store/store.ts";

export type Loaders = ReturnType<typeof makeLoaders>;

/**
 * The reads of one request; without a database they return nothing. They cache nothing, as a subscription's request is
 * long.
 */
export function makeLoaders(open: () => Promise<ReadStore | undefined>) {
  const one = <K extends string | number, V>(
    read: (store: ReadStore, keys: readonly K[]) => Promise<Map<K, V>>,
  ) =>
    new DataLoader<K, V | undefined>(async (keys) => {
      const store = await open();
      const found = store && await read(store, keys);
      return keys.map((key) => found?.get(key));
    }, { cache: false });
  const many = <K extends string | number, V>(
    read: (store: ReadStore, keys: readonly K[]) => Promise<Map<K, V[]>>,
  ) => {
    const lists = one(read);
    return { load: async (key: K): Promise<V[]> => await lists.load(key) ?? [] };
  };
  return {
    run: one(({ runs }, ids: readonly string[]) => runs.byRunIds(ids)),
    events: many(({ runs }, ids: readonly string[]) => runs.eventsOf(ids)),
    files: many(({ runs }, ids: readonly string[]) => runs.filesOf(ids)),
    deliveries: many(({ runs }, ids: readonly string[]) => runs.deliveriesOf(ids)),
    hold: one(({ holds }, ids: readonly string[]) => holds.ofRuns(ids)),
    corrections: many(({ runs }, ids: readonly string[]) => runs.correctionsOf(ids)),
    /** By the id of an invalid record. */
    recordCorrections: many(({ records }, ids: readonly number[]) => records.correctionsOf(ids)),
    /** By the id of a raw record. */
    recordCorrected: one(({ records }, ids: readonly number[]) => records.correctedBy(ids)),
    rawRecord: one(({ records }, ids: readonly number[]) => records.byIds("raw", ids)),
    invalidRecord: one(({ records }, ids: readonly number[]) => records.byIds("invalid", ids)),
    processedRecord: one(({ records }, ids: readonly number[]) => records.byIds("processed", ids)),
    move: one(({ current }, ids: readonly string[]) => current.moves(ids)),
  };
}
