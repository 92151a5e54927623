import assert from "node:assert/strict";
import { ADA, fixture } from "../../../tests/support/people.ts";
import { openSqliteToRead } from "./open.ts";

Deno.test("a current state that differs from the kept runs is found, whatever was changed", async () => {
  await using people = await fixture();
  const { store, load } = people;
  await load([ADA, { id: 8, name: "Bob" }]);
  await load([ADA, { id: 8, name: "Bo" }], { invalid: [{ id: 9, error_reason: "name: missing" }] });
  await using reader = openSqliteToRead(people.path)!;
  const table = '"current$people"';
  const cases: [string, RegExp][] = [
    [`UPDATE ${table} SET c1 = 'Eve' WHERE key = 8`, /^1 key whose values aren't those of their record$/],
    [`DELETE FROM ${table} WHERE key = 7`, /^1 key of run \S+, the newest complete one, that aren't there$/],
    [
      `UPDATE ${table} SET record = (SELECT min(id) + 1 FROM "processed_records$people"), c1 = 'Bob' WHERE key = 8`,
      /^1 key with another record than run/,
    ],
    [
      `INSERT INTO ${table} (key, record, first, changed, seen, c1) SELECT 10, min(id), 1, 1, 1, 'x' FROM "processed_records$people"`,
      /that run \S+, the newest complete one, doesn't hold$/,
    ],
  ];
  assert.deepEqual(await reader.problemsOfCurrent("people"), []);
  for (const [damage, found] of cases) {
    await store.write((db) => db.script(`CREATE TEMP TABLE whole AS SELECT * FROM ${table}; ${damage}`));
    assert.match((await reader.problemsOfCurrent("people")).join("; "), found);
    await store.write((db) =>
      db.script(`DELETE FROM ${table}; INSERT INTO ${table} SELECT * FROM temp.whole; DROP TABLE temp.whole`)
    );
  }
  assert.deepEqual(await reader.problemsOfCurrent("people"), []);
});
