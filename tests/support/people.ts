/**
 * The pipeline `people` at the store, for tests of its current state.
 *
 * @module
 */
import * as z from "zod";
import { newRunId } from "../../shared/contracts/ids.ts";
import { integer, pipeline } from "../../shared/pipeline/mod.ts";
import { planOf } from "../../shared/pipeline/plan.ts";
import { linesOf, type TempStore, tempStore } from "./store.ts";
import { openSqlite, type SqliteStore } from "../../shared/store/sqlite/open.ts";
import type { Store } from "../../shared/store/store.ts";
import { shownOf } from "../../shared/store/shown.ts";
import type { LoadedRun } from "../../shared/store/writes.ts";

/** A record with a field of every kind. */
export const person = z.object({
  id: integer,
  name: z.string(),
  height: z.number().optional(),
  born: z.iso.date().optional(),
  isActive: z.boolean().optional(),
  company: z.object({ department: z.string(), title: z.string().optional() }).optional(),
  ssn: z.unknown().optional(),
  bank: z.object({ iban: z.unknown().optional() }).optional(),
});

/** Returns the pipeline, with changes to its definition. */
export const peopleWith = (change: Record<string, unknown> = {}) =>
  shownOf(planOf(pipeline({
    name: "people",
    record: person,
    key: "id",
    source: { url: "https://example.com/people", paging: { by: "none" } },
    add: {
      department_code: { lookup: "a.csv", key: "name", value: "code", by: "company.department" },
    },
    mask: ["ssn", "bank.iban"],
    load: "snapshot",
    index: ["name"],
    ...change,
  })));

/** A store with the pipeline. */
export interface Fixture extends TempStore {
  /** Loads a run; returns its id. */
  load(
    valid: readonly (string | object)[],
    more?: Partial<LoadedRun> & {
      invalid?: readonly (string | object)[];
      raw?: readonly (string | object)[];
    },
  ): Promise<string>;
}

/** Opens a store with the pipeline. */
export async function fixture(definition = peopleWith()): Promise<Fixture> {
  const temp = await tempStore();
  const store = await openSqlite(temp.path, { pipelines: [definition] });
  return {
    ...temp,
    store,
    load: (valid, more) => loadInto(store, valid, more),
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await temp[Symbol.asyncDispose]();
    },
  };
}

/** Loads a run of people into a store; returns its id. */
export async function loadInto(
  store: Store,
  valid: readonly (string | object)[],
  { invalid = [], raw = [], ...more }: Parameters<Fixture["load"]>[1] = {},
): Promise<string> {
  const run = { runId: newRunId(), pipeline: "people", at: new Date().toISOString(), ...more };
  const texts = (records: readonly (string | object)[]) =>
    linesOf(records.map((record) => typeof record === "string" ? record : JSON.stringify(record)));
  await store.announceRun(run);
  for (const [kind, records] of [["raw", raw], ["processed", valid], ["invalid", invalid]] as const) {
    const name = `data/${kind}_people/${run.runId}.jsonl`;
    await store.loadFile({ runId: run.runId, pipeline: "people", kind, name }, texts(records));
  }
  await store.markLoaded({
    rawFile: "data/a",
    processedFile: "data/b",
    dlqFile: "data/c",
    validCount: valid.length,
    invalidCount: invalid.length,
    fields: ["id", "name", "nickname"],
    completeness: { announced: null, received: valid.length + invalid.length, missing: 0, repeated: 0 },
    ...run,
  });
  return run.runId;
}

/** Returns the rows of a query on the views. */
export function see(store: SqliteStore, query: string): Promise<Record<string, unknown>[]> {
  return store.write((db) => {
    const { columns, rows } = db.table(query);
    return rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));
  });
}

/** A person with a value in every field. */
export const ADA = {
  id: 7,
  name: "Ada",
  height: 171,
  born: "1815-12-10",
  isActive: true,
  company: { department: "Engineering" },
  ssn: "123",
  bank: { iban: "DE1", name: "B" },
  nickname: "A",
  department_code: "ENG",
};
