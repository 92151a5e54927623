import assert from "node:assert/strict";
import fc from "fast-check";
import { ADA, fixture } from "../../../tests/support/people.ts";
import { loadTexts, type TempStore, tempStore } from "../../../tests/support/store.ts";
import { maskOf } from "../mask.ts";
import { plainRows } from "./plain_rows.ts";
import { refreshViews } from "./views.ts";
import { sqlOf } from "./statements.ts";
import { addFields } from "../sql/columns.ts";

/** Opens a store of users whose records may have unusual keys. */
async function strangeStore(masked: readonly string[]): Promise<TempStore> {
  const temp = await tempStore(masked);
  await temp.store.write(async (db) => {
    await addFields(sqlOf(db), "users", STRANGE_KEYS);
    await refreshViews(db);
  });
  return temp;
}

/** Asserts that a page of a table's rows equals that of its view. */
async function sameAsView({ store }: TempStore, limit: number, offset: number): Promise<void> {
  const view = await store.write((db) =>
    db.table("SELECT * FROM raw_users ORDER BY record_id LIMIT ? OFFSET ?", limit, offset)
  );
  assert.equal(view.rows.length, limit);
  assert.deepEqual(await store.records.rows("raw_users", { limit, offset }), view);
}

const ODD = [
  "{broken",
  "[1,2]",
  "7",
  "null",
  '"x"',
  "{}",
  ' {"id":1}',
  '{"id": 1}',
  '{"id":1,"id":2}',
  '{"bank":{"iban":"A","iban":"B","n":1.0}}',
  '{"bank":[{"iban":"A"}],"hair":[1.50,"x"]}',
  '{"bank":"A","hair":{}}',
  '{"bank":null,"ssn":null,"age":true,"role":false}',
  '{"i\\u0064":3,"s\\u0073n":"A"}',
  '{"id":-0,"age":-0.0,"height":1.0,"weight":1e2}',
  '{"id":9007199254740993,"age":-9007199254740993,"height":18446744073709551616}',
  '{"id":1152921504606847000,"age":12345678901234567000,"hair":{"n":18446744073709551616}}',
  '{"id":1e+21,"age":1e400,"height":5e-324,"weight":0.30000000000000004}',
  '{"role":"\\ud83d","ein":"\\ud83d\\ude00 é \\u00e9 \\/ \\u0007"}',
  '{"role":"a\\u0000b","ein":"\\ud800"}',
  '{"2":1,"1":2,"role":"\u2028\u007f😀"}',
  '{"__proto__":{"id":1},"constructor":2,"toString":"x"}',
  '{"ein":"\\"\\\\n\\n","a.b":1,"":2}',
  '[{"id":1}]',
  ...[999, 1000, 1001].map((depth) => `{"id":1,"hair":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`),
];
const STRANGE_KEYS = ["1", "2", "__proto__", "constructor", "hasOwnProperty", "a.b", ""];

for (const masked of [[], ["ssn", "bank.iban"]]) {
  Deno.test(`a table's rows equal its view's, whatever the text of a record (${masked.length} masked fields)`, async () => {
    await using temp = await strangeStore(masked);
    await loadTexts(temp.store, "run-1", "raw", ODD);
    for (const n of ODD.keys()) await sameAsView(temp, 1, n);
    await sameAsView(temp, ODD.length, 0);
  });
}

Deno.test("a table's rows equal its view's, whatever values records have", async () => {
  const keys = ["id", "age", "ssn", "bank", "hair", ...STRANGE_KEYS];
  const value = fc.jsonValue({ maxDepth: 2, stringUnit: "binary" });
  const number = fc.double({ noNaN: true, noDefaultInfinity: true });
  const record = fc.dictionary(fc.constantFrom(...keys), fc.oneof(value, number));
  await using temp = await strangeStore(["ssn", "bank.iban"]);
  let loaded = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 50 }), async (made) => {
      const runId = crypto.randomUUID();
      await loadTexts(temp.store, runId, "raw", made.map((record) => JSON.stringify(record)));
      for (const n of made.keys()) await sameAsView(temp, 1, loaded + n);
      await sameAsView(temp, made.length, loaded);
      loaded += made.length;
    }),
    { numRuns: 30 },
  );
});

Deno.test("the rows of a current state equal its view's", async () => {
  await using people = await fixture();
  await people.load([
    ADA,
    { id: 8, name: "Bob", height: 1e21, isActive: false, nickname: null },
    { id: 9, name: "C", bank: "x" },
    { id: 2 ** 60, name: "D", height: 12345678901234567 },
  ]);
  const view = await people.store.write((db) => db.table("SELECT * FROM people ORDER BY id"));
  assert.equal(view.rows.length, 4);
  for (const n of view.rows.keys()) {
    const page = await people.store.current.tableRows("people", { limit: 1, offset: n });
    assert.deepEqual(page, { columns: view.columns, rows: [view.rows[n]] });
  }
  assert.deepEqual(await people.store.current.tableRows("people", { limit: 9, offset: 0 }), view);
});

Deno.test("records written as by JSON.stringify are read without the view, others of the page one by one", async () => {
  await using temp = await strangeStore(["ssn"]);
  const plain = Array.from({ length: 9 }, (_, id) => JSON.stringify({ id, ssn: "1", hair: { n: 0.1 } }));
  await loadTexts(temp.store, "run-1", "raw", [...plain, '{"id": 9}']);
  const read = (limit: number, viewOf: string) =>
    temp.store.write((db) =>
      plainRows(db, [{ name: "id", key: "id" }, { name: "ssn", key: "ssn" }], {
        id: "id",
        text: "json",
        rest: "FROM raw_records ORDER BY id LIMIT ? OFFSET ?",
        mask: maskOf(["ssn"]),
        view: "no SQL",
        viewOf,
      }, { limit, offset: 0 }).rows
    );
  assert.deepEqual(await read(9, "no SQL"), plain.map((_, id) => [id, "***"]));
  const one = "SELECT value, 'from' AS id, 'view' AS ssn FROM json_each(?)";
  assert.deepEqual((await read(10, one)).at(-1), ["from", "view"]);
});
