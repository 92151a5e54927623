/**
 * Each engine returns the same records for a search of the current state.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import * as z from "zod";
import { integer } from "../../shared/pipeline/mod.ts";
import type { Condition, Conditions, CurrentCursor } from "../../shared/store/current_rows.ts";
import { openStore } from "../../shared/store/open.ts";
import type { Store } from "../../shared/store/store.ts";
import { POSTGRES, sharing, SQLITE } from "../support/engines.ts";
import { needing } from "../support/needs.ts";
import { loadInto, peopleWith } from "../support/people.ts";

const NAMES = [
  "",
  "a",
  "A",
  "Ab",
  "ab",
  "aB%",
  "a_b",
  "a\\b",
  "é",
  "É",
  "ß",
  "ſ",
  "İ",
  "K",
  "😀",
  "\uffff",
  "z",
  "10",
  "9",
  "1e1",
];
const NUMBERS = [0, -0.5, 1, 1.5, 2, 10, 1e21, 1e-7, -3, 100, 9_007_199_254_740_991];
/** Mostly one of a few values, so that many searches match. */
const mostly = <T>(few: readonly T[], others: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...few) }, { weight: 1, arbitrary: others });
const name = mostly(NAMES, fc.string({ unit: "grapheme", maxLength: 4 }));
const real = mostly(NUMBERS, fc.double({ noNaN: true, noDefaultInfinity: true }));
const whole = mostly([0, 1, 2, 10, -3, 100], fc.maxSafeInteger());
const key = fc.oneof(whole, name, fc.constantFrom("1", "01", "2", "-3", "1.0"));
const flag = fc.boolean();

const orNull = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: null });
const record = fc.record({
  id: key,
  name: orNull(name),
  title: orNull(name),
  height: orNull(real),
  score: orNull(real),
  age: orNull(whole),
  isActive: orNull(flag),
  company: fc.record({ department: orNull(name) }, { requiredKeys: [] }),
}, { requiredKeys: ["id"] });

/** The record as its source writes it, with whole numbers with and without a fraction, and beyond 2^53. */
const line = fc.tuple(record, fc.nat(5)).map(([record, way]) => ({
  id: `${typeof record.id} ${record.id}`,
  text: JSON.stringify(record).replaceAll(
    /:(-?\d+)(?=[,}])/g,
    (number, digits) =>
      way === 0 ? `${number}.0` : way === 1 && digits === "100" ? ":1234567890123456789" : number,
  ),
}));

const pattern = fc.array(mostly(["%", "_", "%", "a", "A"], fc.constantFrom("b", "é", "\\", "1", ".", "K")), {
  maxLength: 4,
}).map((parts) => parts.join(""));

type Value = string | number | boolean;

/** A condition on a field that the API accepts. */
function conditionOn(
  values: fc.Arbitrary<Value>,
  ordered: fc.Arbitrary<string | number>,
  patterns: fc.Arbitrary<string | undefined> = pattern,
) {
  const one: fc.Arbitrary<Condition> = fc.oneof(
    fc.record({ eq: orNull(values) }),
    fc.record({ lt: ordered }),
    fc.record({ gt: ordered }),
    fc.record({ in: fc.array(values, { maxLength: 4 }) }),
    fc.record({ like: patterns }),
  );
  return fc.oneof(one, fc.tuple(one, one).map(([one, other]) => ({ ...one, ...other })));
}

const none = fc.constant(undefined);
const number = fc.oneof(whole, real);
const CONDITIONS: Record<string, fc.Arbitrary<Condition>> = {
  id: conditionOn(key, fc.oneof(key, real)),
  name: conditionOn(name, name),
  title: conditionOn(name, name),
  height: conditionOn(number, number, none),
  score: conditionOn(number, number, none),
  age: conditionOn(fc.oneof(number, flag), number),
  isActive: conditionOn(fc.oneof(number, flag), number),
  "company.department": conditionOn(name, name),
};
const onField: fc.Arbitrary<Conditions> = fc.constantFrom(...Object.keys(CONDITIONS))
  .chain((field) => CONDITIONS[field]!.map((condition) => ({ [field]: condition })));
const requested = fc.oneof(
  onField,
  onField,
  fc.tuple(onField, onField).map(([one, other]) => ({ ...one, ...other })),
);

const definition = peopleWith({
  record: z.object({
    id: z.union([integer, z.string()]),
    name: z.string().nullish(),
    title: z.string().nullish(),
    height: z.number().nullish(),
    score: z.number().nullish(),
    age: integer.nullish(),
    isActive: z.boolean().nullish(),
    company: z.object({ department: z.string().nullish() }).optional(),
  }),
  mask: [],
  add: undefined,
  index: ["name", "height", "age", "company.department"],
});

const shown = (value: unknown) =>
  JSON.stringify(value, (_, one) => typeof one === "bigint" ? `${one}n` : one);

/** Returns all pages from one end to the other, each of `limit` rows. */
async function pagesOf({ current }: Store, where: Conditions, limit: number, from: "start" | "end") {
  const pages: unknown[][] = [];
  let cursor: CurrentCursor | undefined;
  for (;;) {
    const page = await current.page(
      "people",
      where,
      from === "start" ? { limit, after: cursor } : { limit, before: cursor, from },
    );
    pages.push(page.map(({ key, record }) => [key, shown(record)]));
    if (page.length < limit) return pages;
    cursor = page.at(from === "start" ? -1 : 0)!.cursor;
  }
}

sharing();

needing("postgres")(
  "SQLite and PostgreSQL answer every search of the current state with the same pages",
  async () => {
    await using sqlite = await SQLITE.place();
    await using postgres = await POSTGRES.place();
    await using one = await openStore(sqlite.at, [definition]);
    await using other = await openStore(postgres.at, [definition]);
    for (const { current } of [one, other]) {
      await assert.rejects(
        current.page("people", { height: { like: "1%" } }, { limit: 9 }),
        /height like "1%": its values are numbers, wanted eq, lt, gt or in/,
      );
    }
    const distinct = fc.uniqueArray(line, { minLength: 1, maxLength: 40, selector: ({ id }) => id })
      .map((lines) => lines.map(({ text }) => text));
    await fc.assert(
      fc.asyncProperty(
        distinct,
        fc.array(
          fc.tuple(
            requested,
            fc.integer({ min: 1, max: 7 }),
            fc.constantFrom("start" as const, "end" as const),
          ),
          { minLength: 20, maxLength: 20 },
        ),
        async (records, questions) => {
          for (const store of [one, other]) await loadInto(store, records);
          for (const [where, limit, from] of questions) {
            assert.deepEqual(
              await pagesOf(other, where, limit, from),
              await pagesOf(one, where, limit, from),
              JSON.stringify({ where, limit, from }),
            );
          }
        },
      ),
      { numRuns: 15, endOnFailure: true },
    );
  },
);
