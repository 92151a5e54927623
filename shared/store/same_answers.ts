/** Compares what two stores return: all runs, and the first and last rows of everything else. */
import { isExactObject } from "../pipeline/exact_json.ts";
import type { Page } from "./rows.ts";
import type { Reads } from "./store.ts";

/** Rows per query. */
const ROWS = 200;

/** Rows at each end of a table that are compared, in turn, as long as their text is short: a record may have 16 MiB. */
const ENDS = [10, 50, ROWS];

/** The most characters of text that count as short. */
const SHORT = 4 * 1024 * 1024;

/** The first difference, without record data; undefined if there is none. */
export async function differenceOf(one: Reads, other: Reads): Promise<string | undefined> {
  const differs = async (read: (reads: Reads) => Promise<unknown>) =>
    textOf(await read(one)) !== textOf(await read(other));
  const ends = async (read: (reads: Reads, page: Page<never>) => Promise<unknown>) => {
    for (const from of ["start", "end"] as const) {
      for (const limit of ENDS) {
        const found = textOf(await read(one, { limit, from }));
        if (found !== textOf(await read(other, { limit, from }))) return true;
        if (found.length > SHORT) break;
      }
    }
    return false;
  };

  for (const filter of [{}, { loaded: true }]) {
    if (await differs((reads) => reads.runs.count(filter))) return "the number of runs differs";
  }
  for (let after, rows; rows === undefined || rows.length === ROWS; after = rows.at(-1)) {
    const page = { limit: ROWS, after };
    rows = await one.runs.page({}, page);
    if (textOf(rows) !== textOf(await other.runs.page({}, page))) return "the list of runs differs";
  }
  if (await differs((reads) => reads.records.tables())) return "the tables of records differ";
  for (const table of await one.records.tables()) {
    if (await differs((reads) => reads.records.count(table))) return `the number of ${table} differs`;
    if (await ends((reads, page) => reads.records.page(table, {}, page))) return `${table} differs`;
  }
  if (await differs((reads) => reads.current.pipelines())) return "the pipelines with a current state differ";
  for (const name of await one.current.pipelines()) {
    for (const table of [name, `${name}_changes`]) {
      if (await differs((reads) => reads.current.count(table))) return `the number of ${table} differs`;
    }
    if (await ends((reads, page) => reads.current.page(name, {}, page))) return `${name} differs`;
    if (await ends((reads, page) => reads.current.changes(name, {}, page))) return `${name}_changes differs`;
  }
}

/** JSON for comparison. Texts are cut where engines may differ: at NUL, and long keys after 200 characters. The order of properties is ignored. */
function textOf(rows: unknown): string {
  return JSON.stringify(rows, (name, value) => {
    if (typeof value === "bigint") return String(value);
    if (name === "cursor") return undefined;
    if (typeof value === "string") {
      const text = value.split(/[\0\ufffd]/, 1)[0]!;
      return name === "key" ? text.slice(0, 200) : text;
    }
    return isExactObject(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
      : value;
  });
}
