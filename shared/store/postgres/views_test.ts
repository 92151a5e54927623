import assert from "node:assert/strict";
import { needing } from "../../../tests/support/needs.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import type { Defined } from "../shown.ts";
import { withMasks } from "../shown.ts";
import { Postgres } from "./connection.ts";
import { migrate } from "./migrate.ts";
import { readsOf } from "./reads.ts";
import { refreshViews } from "./views.ts";
import { addFields } from "../sql/columns.ts";

const test = needing("postgres");

const THINGS: Defined = {
  ...withMasks({
    name: "things",
    added: ["place"],
    masked: ["secret", "bank.card", "name.first.last"],
    judged: ["size"],
    folder: null,
    current: {
      key: ["id"],
      keyType: "INTEGER",
      load: "snapshot",
      columns: [{ keys: ["place"], type: "TEXT" }, { keys: ["size"], type: "REAL" }, {
        keys: ["bank", "iban"],
        type: "TEXT",
      }],
      index: ["place", "size"],
    },
  }),
  keys: ["id", "size", "secret", "bank", "name"],
};

/** Creates a database with a run of `things` whose raw lines are `lines`. */
async function loaded(db: Postgres, lines: readonly string[]): Promise<void> {
  await migrate(db);
  await db.transaction((session) => refreshViews(session, [THINGS]));
  await db.run(
    `INSERT INTO run_files (id, run_id, pipeline, kind, name, sha256, bytes, records, loaded_at)
     VALUES (1, 'run', 'things', 'raw', 'f', 's', 1, 1, 'now'), (2, 'run', 'things', 'processed', 'f', 's', 1, 1, 'now')`,
  );
  for (const [i, line] of lines.entries()) {
    for (const [file, kind] of [[1, "raw"], [2, "processed"]] as const) {
      await db.run(
        `INSERT INTO "${kind}_records$things" (id, json) VALUES ($1, $2)`,
        file * 1e9 + i + 1,
        line,
      );
    }
  }
}

/** Returns a shown value; parses objects, so that they are compared by content. */
const shownOf = (value: unknown) =>
  typeof value === "string" && /^[[{]/.test(value) ? JSON.parse(value) : value;

test("the views and the API show the same of each record, and no masked value", async () => {
  await using server = await startPostgres();
  await using db = new Postgres(await server.createDatabase(), { name: "test" });
  const lines = [
    '{"id": 1, "size": 2.5, "secret": "S1", "bank": {"card": "C1", "iban": "I"}, "place": "x"}',
    '{"id": 2, "secret": null, "bank": "C2", "name": {"first": {"last": "L"}, "x": 1}}',
    '{"id": "x", "secret": {"a": "S3"}, "bank": ["C3"], "name": {"first": "L3"}}',
    '{"id": 9007199254740993, "bank": {"card": null, "card": "C4", "iban": [1]}, "name": null, "secret": "\\u0000S4"}',
    '{"bank": {"card": {"deep": "C5"}}, "name": {"first": null}, "size": true, "secret": [1e9999]}',
    "[1]",
    "no JSON S6",
    '"S7"',
  ];
  await loaded(db, lines);
  const view = await db.all<Record<string, unknown>>("SELECT * FROM raw_things ORDER BY record_id");
  const api = await readsOf(db).records.rows("raw_things", { limit: 100, offset: 0 });
  assert.deepEqual(api.columns, [
    "id",
    "size",
    "secret",
    "bank",
    "name",
    "run_id",
    "line",
    "insertion_date",
    "record_id",
  ]);
  const text = (cell: unknown) => cell === null || typeof cell === "object" ? cell : String(cell);
  assert.deepEqual(
    view.map((row) => ["id", "secret", "bank", "name"].map((name) => shownOf(row[name]))),
    api.rows.map((row) => [0, 2, 3, 4].map((i) => shownOf(text(row[i])))),
  );
  assert.equal(api.rows.length, lines.length);
  assert.doesNotMatch(
    JSON.stringify([view, api], (_, v) => typeof v === "bigint" ? String(v) : v),
    /[SCL]\d/,
  );
  const processed = await db.all<{ id: unknown; size: unknown; run_id: string }>(
    "SELECT id, size, run_id FROM processed_things ORDER BY record_id LIMIT 4",
  );
  assert.deepEqual(processed.map(({ id }) => id), [1, 2, null, 9007199254740993n]);
  assert.equal(processed[0]!.size, 2.5);
});

test("a view is recreated with new columns, and users who could read it still can", async () => {
  await using server = await startPostgres();
  await using db = new Postgres(await server.createDatabase(), { name: "test" });
  await loaded(db, ['{"id": 1, "colour": "red"}']);
  await server.psql("CREATE ROLE reader LOGIN PASSWORD 'reader'");
  await db.script("GRANT SELECT ON raw_things TO reader");
  await db.transaction(async (session) => {
    assert.equal(
      await addFields(session, "things", ["colour", "colour", "id", "a\0b", "é".repeat(100)]),
      true,
    );
    await refreshViews(session);
  });
  await using reader = new Postgres(db.place.replace(/^/, "postgres://reader:reader@"), { name: "test" });
  assert.deepEqual(await reader.all("SELECT colour FROM raw_things"), [{ colour: "red" }]);
  await assert.rejects(reader.all('SELECT * FROM "raw_records$things"'), /permission denied/);
  const before = await db.all("SELECT oid FROM pg_class WHERE relkind = 'v' ORDER BY oid");
  await db.transaction((session) => refreshViews(session, [THINGS]));
  assert.deepEqual(await db.all("SELECT oid FROM pg_class WHERE relkind = 'v' ORDER BY oid"), before);
});

test("a query for one run reads its range of records, and counting parses none", async () => {
  await using server = await startPostgres();
  await using db = new Postgres(await server.createDatabase(), { name: "test" });
  await loaded(db, ['{"id": 1}']);
  await db.run(
    `INSERT INTO run_files (id, run_id, pipeline, kind, name, sha256, bytes, records, loaded_at)
     SELECT n, 'run ' || n, 'things', 'raw', 'f', 's', 1, 1, 'now' FROM generate_series(3, 1000) AS n`,
  );
  await db.run(
    `INSERT INTO "raw_records$things" (id, json) SELECT f * 1000000000::bigint + n, '{"id": 5}'
     FROM generate_series(3, 1000) AS f, generate_series(1, 20) AS n`,
  );
  await db.script("ANALYZE");
  const plan = async (sql: string) =>
    (await db.all<Record<string, string>>(`EXPLAIN (VERBOSE) ${sql}`)).map((row) => Object.values(row)[0])
      .join("\n");
  const ofRun = await plan("SELECT id FROM raw_things WHERE run_id = 'run 77'");
  assert.doesNotMatch(ofRun, /Seq Scan on .*raw_records/);
  const counted = await plan("SELECT count(*) FROM raw_things");
  assert.doesNotMatch(counted, /etl_record/);
});
