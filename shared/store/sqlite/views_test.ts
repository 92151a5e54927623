import assert from "node:assert/strict";
import fc from "fast-check";
import { maskOf, maskRecord } from "../mask.ts";
import { openSqlite } from "./open.ts";
import { type Database, type Value } from "../../sqlite/database.ts";
import { loadTexts, tempStore, usersTables } from "../../../tests/support/store.ts";
import { refreshViews } from "./views.ts";
import { addFields } from "../sql/columns.ts";
import { sqlOf } from "./statements.ts";

type Row = Record<string, Value>;

function rowsOf(db: Database, query: string): Row[] {
  const { columns, rows } = db.table(query);
  return rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]!])));
}

/** Returns the view's rows for raw lines, with columns for `fields` in addition to the usual ones. */
async function viewed(maskFields: string[], texts: string[], fields: string[] = []): Promise<Row[]> {
  await using temp = await tempStore(maskFields);
  await loadTexts(temp.store, "run-1", "raw", texts);
  return await temp.store.write(async (db) => {
    if (await addFields(sqlOf(db), "users", fields)) await refreshViews(db);
    return rowsOf(db, "SELECT * FROM raw_users ORDER BY record_id");
  });
}

Deno.test("columns are the user's keys in the source's order, then ours", async () => {
  await using temp = await tempStore();
  const columns = await temp.store.write((db) =>
    ["raw_users", "processed_users", "invalid_users"].map((view) => db.table(`SELECT * FROM ${view}`).columns)
  );
  const user =
    "id firstName lastName maidenName age gender email phone username password birthDate image bloodGroup height weight " +
    "eyeColor hair ip address macAddress university bank company ein ssn userAgent crypto role";
  const meta = "run_id line insertion_date record_id";
  assert.deepEqual(columns.map((names) => names.join(" ")), [
    `${user} ${meta}`,
    `${user} department_code ${meta}`,
    `${user} error_reason raw_line ${meta}`,
  ]);
});

Deno.test("values keep their types; nested ones are JSON text; missing ones are NULL", async () => {
  const [row] = await viewed([], [
    '{"id":7,"height":193.24,"firstName":"José \\"Pepe\\"","hair":{"color":"Brown","n":1.0},"role":null,"age":true}',
  ]);
  assert.equal(row!.id, 7);
  assert.equal(row!.height, 193.24);
  assert.equal(row!.firstName, 'José "Pepe"');
  assert.equal(row!.hair, '{"color":"Brown","n":1.0}');
  assert.equal(row!.role, null);
  assert.equal(row!.email, null);
  assert.equal(row!.age, 1);
  assert.deepEqual([row!.run_id, row!.line, row!.record_id], ["run-1", 1, 1_000_000_001]);
  assert.match(String(row!.insertion_date), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

Deno.test("whole numbers keep all their digits", async () => {
  const [row] = await viewed([], [
    '{"id":9223372036854775807,"age":-9007199254740993,"height":18446744073709551616,"weight":1.0}',
  ]);
  assert.equal(row!.id, 9223372036854775807n);
  assert.equal(row!.age, -9007199254740993n);
  assert.equal(row!.height, "18446744073709551616");
  assert.equal(row!.weight, 1);
});

Deno.test("lines that aren't JSON, or no object, read as NULLs and affect no others", async () => {
  const rows = await viewed(["bank.iban", "ssn"], ["{broken", "[1,2]", "7", '{"id":1}', "", "null", '"x"']);
  assert.deepEqual(rows.map((row) => [row.line, row.id, row.bank, row.ssn]), [
    [1, null, null, null],
    [2, null, null, null],
    [3, null, null, null],
    [4, 1, null, null],
    [6, null, null, null],
    [7, null, null, null],
  ]);
});

Deno.test("keys of every kind get their own column, and the correct value", async () => {
  const strange = [
    "a.b",
    'quo"te',
    "it's",
    "back\\slash",
    "new\nline",
    "[0]",
    "$",
    "",
    "sp ace",
    "ключ",
    "😀",
    "Age",
    "AGE",
    "run_id",
    "LINE",
    "record_id",
    "x".repeat(500),
    "x".repeat(499) + "y",
    "id; DROP TABLE etl_runs",
    "__proto__",
    "0",
    "a]",
    "#-1",
    "\u007f",
    "?1",
    ":x",
  ];
  const record = Object.fromEntries([["age", "own"], ...strange.map((key, n) => [key, `value ${n}`])]);
  const [row] = await viewed([], [JSON.stringify(record)], strange);
  const byValue = new Map(Object.entries(row!).map(([name, value]) => [value, name]));
  for (const [n, key] of strange.entries()) {
    assert(byValue.has(`value ${n}`), `no column shows ${JSON.stringify(key.slice(0, 30))}`);
  }
  assert.equal(row!.age, "own");
  assert.equal(byValue.get(`value ${strange.indexOf("Age")}`), "Age_2");
  assert.equal(byValue.get(`value ${strange.indexOf("AGE")}`), "AGE_3");
  assert.equal(byValue.get(`value ${strange.indexOf("run_id")}`), "run_id_2");
  assert.equal(byValue.get(`value ${strange.indexOf("")}`), "(empty)");
  assert.deepEqual([row!.run_id, row!.line, row!.record_id], ["run-1", 1, 1_000_000_001]);
});

Deno.test("keys that can't be columns are left out, and there are at most 500 columns", async () => {
  await using temp = await tempStore();
  const columns = await temp.store.write(async (db) => {
    assert.equal(await addFields(sqlOf(db), "users", ["nul\0", "\ud800", "x".repeat(1001)]), false);
    assert.equal(
      await addFields(sqlOf(db), "users", Array.from({ length: 1000 }, (_, n) => `field${n}`)),
      true,
    );
    await refreshViews(db);
    return db.table("SELECT * FROM invalid_users").columns;
  });
  assert(columns.length > 490 && columns.length <= 500, `${columns.length} columns`);
});

Deno.test("a new key gets its column in the same load, after the old ones", async () => {
  await using temp = await tempStore();
  await loadTexts(temp.store, "run-1", "processed", ['{"id":1,"nickname":"Bo","department_code":"ENG"}']);
  const rows = await temp.store.write(async (db) => {
    if (await addFields(sqlOf(db), "users", ["id", "nickname", "department_code"])) await refreshViews(db);
    return rowsOf(db, "SELECT role, nickname, department_code FROM processed_users");
  });
  assert.deepEqual(rows, [{ role: null, nickname: "Bo", department_code: "ENG" }]);
});

Deno.test("another mask recreates the views at the next start; the same one leaves them unchanged", async () => {
  await using temp = await tempStore(["ssn"]);
  await loadTexts(temp.store, "run-1", "raw", ['{"ssn":"1","ein":"2"}']);
  const shown = async (maskFields: string[]) => {
    await using again = await openSqlite(temp.path, { pipelines: usersTables(maskFields) });
    return again.write((db) => ({
      row: rowsOf(db, "SELECT ssn, ein FROM raw_users")[0],
      version: db.get<{ schema_version: number }>("PRAGMA schema_version")!.schema_version,
    }));
  };
  const first = await shown(["ssn"]);
  const same = await shown(["ssn"]);
  const other = await shown(["ein"]);
  assert.deepEqual(first.row, { ssn: "***", ein: "2" });
  assert.equal(same.version, first.version);
  assert.deepEqual(other.row, { ssn: "1", ein: "***" });
});

Deno.test("a masked value can't be reached by a spelling that the path doesn't match", async () => {
  const texts = [
    '{"bank":{"iban":"A","iban":"SECRET"}}', // a repeated key
    '{"bank":{"iban":null,"iban":"SECRET"}}',
    '{"bank":{"ib\\u0061n":"SECRET"}}', // an escaped key
    '{"bank":[{"iban":"SECRET"}]}',
    '{"bank":"SECRET"}',
    '{"ssn":"SECRET","ssn":"SECRET"}',
    '{"s\\u0073n":"SECRET"}',
    '{"crypto":{"a":{"b":"SECRET","b":"SECRET"}}}',
    '{"crypto":{"a":"SECRET"}}',
  ];
  const rows = await viewed(["bank.iban", "ssn", "crypto.a.b"], texts);
  assert.equal(rows.length, texts.length);
  for (const row of rows) assert.doesNotMatch(JSON.stringify(Object.values(row).map(String)), /SECRET/);
});

Deno.test("the text of an unreadable line is masked in the view of invalid records", async () => {
  await using temp = await tempStore(["ssn"]);
  await loadTexts(temp.store, "run-1", "invalid", [
    '{"raw_line":"{ssn: 1","error_reason":"Invalid JSON"}',
    '{"id":5,"ssn":"1","error_reason":"age: missing"}',
  ]);
  const rows = await temp.store.write((db) =>
    rowsOf(db, "SELECT id, ssn, error_reason, raw_line FROM invalid_users")
  );
  assert.deepEqual(rows, [
    { id: null, ssn: null, error_reason: "Invalid JSON", raw_line: "***" },
    { id: 5, ssn: "***", error_reason: "age: missing", raw_line: null },
  ]);
});

Deno.test("the view and the function mask alike, for any record", async () => {
  const keys = ["id", "ssn", "bank", "company", "iban", "address", "city", "we'ird key"];
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.constantFrom(0.5, -2.25, 1e21, "***"),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      leaf,
      fc.array(tie("value"), { maxLength: 2 }),
      fc.dictionary(fc.constantFrom(...keys), tie("value"), { maxKeys: 4 }),
    ),
  }));
  const record = fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: keys.length })
    .map((made): Record<string, unknown> => JSON.parse(JSON.stringify(made)));
  const field = fc.array(fc.constantFrom(...keys), { minLength: 1, maxLength: 3 }).map((path) =>
    path.join(".")
  );

  await using temp = await tempStore();
  const run = fc.asyncProperty(
    fc.array(record, { minLength: 1, maxLength: 5 }),
    fc.array(field, { maxLength: 4 }),
    async (records, fields) => {
      const runId = crypto.randomUUID();
      const mask = maskOf(fields);
      await loadTexts(temp.store, runId, "raw", records.map((r) => JSON.stringify(r)));
      const rows = await temp.store.write(async (db) => {
        await addFields(sqlOf(db), "users", keys);
        await refreshViews(db, usersTables(fields));
        return rowsOf(db, `SELECT * FROM raw_users WHERE run_id = '${runId}' ORDER BY record_id`);
      });
      assert.equal(rows.length, records.length);
      for (const [n, row] of rows.entries()) {
        const expected = maskRecord(records[n], mask) as Record<string, unknown>;
        for (const key of keys) assert.deepEqual(asJson(row[key], expected[key]), expected[key] ?? null, key);
      }
    },
  );
  await fc.assert(run, { numRuns: 150 });
});

/** Undoes the conversion of JSON by SQL, where nested values become text and booleans numbers. */
function asJson(shown: Value | undefined, like: unknown): unknown {
  if (typeof like === "boolean") return shown === 1;
  return typeof like === "object" && like !== null ? JSON.parse(String(shown)) : shown;
}
