import assert from "node:assert/strict";
import { PermanentError } from "../../errors/errors.ts";
import { currentSchema, migrate, SCHEMA_VERSION, schemaVersion } from "./migrate.ts";
import { openSqlite } from "./open.ts";
import { Database } from "../../sqlite/database.ts";
import { startChild, usersTables } from "../../../tests/support/store.ts";

Deno.test("a database of the first schema keeps its rows and gets the later additions", async () => {
  using db = new Database(":memory:");
  db.script(await Deno.readTextFile(new URL("migrations/0001_runs_and_records.sql", import.meta.url)));
  db.script(`PRAGMA user_version = 1;
    INSERT INTO run_files (run_id, kind, name, sha256, bytes, records, loaded_at) VALUES ('r', 'raw', 'data/x', 's', 1, 1, 't');
    INSERT INTO deliveries (run_id, kind, name, remote_path, sha256, bytes, verified, delivered_at)
    VALUES ('r', 'raw', 'x', '/x', 's', 1, 'content', 't')`);
  await migrate(db);
  assert.equal(schemaVersion(db), SCHEMA_VERSION);
  assert.deepEqual(db.all("SELECT name, removed_at FROM run_files"), [{ name: "data/x", removed_at: null }]);
  assert.deepEqual(db.all("SELECT name, sealed_sha256 FROM deliveries"), [{
    name: "x",
    sealed_sha256: null,
  }]);
});

Deno.test("an empty database gets the whole schema, and a second migration changes nothing", async () => {
  using db = new Database(":memory:");
  assert.equal(schemaVersion(db), 0);
  await migrate(db);
  assert.equal(schemaVersion(db), SCHEMA_VERSION);
  const schema = db.all("SELECT sql FROM sqlite_schema");
  await migrate(db);
  assert.deepEqual(db.all("SELECT sql FROM sqlite_schema"), schema);
});

Deno.test("schema.sql is the result of the migrations", async () => {
  assert.equal(await Deno.readTextFile(new URL("schema.sql", import.meta.url)), await currentSchema());
});

Deno.test("a database of a newer version is refused without changing a byte", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/data.db`;
    {
      using db = new Database(path);
      db.script(`CREATE TABLE etl_runs (x); PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    }
    const before = await Deno.readFile(path);
    await assert.rejects(openSqlite(path, { pipelines: usersTables([]) }), (error: unknown) => {
      assert(error instanceof PermanentError);
      assert.match(error.message, /Start the newer program/);
      return true;
    });
    assert.deepEqual(await Deno.readFile(path), before);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a database of another program is refused, and its tables stay", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/data.db`;
    {
      using db = new Database(path);
      db.script("CREATE TABLE raw_users (id); INSERT INTO raw_users VALUES (7)");
    }
    await assert.rejects(
      openSqlite(path, { pipelines: usersTables([]) }),
      /tables that this program did not make/,
    );
    using db = new Database(path);
    assert.deepEqual(db.all("SELECT * FROM raw_users"), [{ id: 7 }]);
    assert.equal(schemaVersion(db), 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("several processes that start at once with an empty folder all find the schema", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/database/data.db`;
    const children = Array.from({ length: 4 }, (_, n) =>
      startChild(`
        const { openSqlite } = await import(store + "open.ts");
        const { usersTables } = await import(store + "../../../tests/support/store.ts");
        console.log("ready");
        for await (const _ of Deno.stdin.readable);
        await using opened = await openSqlite(${
        JSON.stringify(path)
      }, { pipelines: usersTables(["field${n}"]) });
        await opened.write((db) => db.run("INSERT INTO pipeline_fields (pipeline, name) VALUES ('users', 'child${n}')"));
      `));
    await Promise.all(children.map((child) => child.printed("ready")));
    await Promise.all(children.map((child) => child.release()));
    assert.deepEqual(await Promise.all(children.map((child) => child.ended())), [0, 0, 0, 0]);
    using db = new Database(path);
    assert.equal(schemaVersion(db), SCHEMA_VERSION);
    assert.equal(db.all("SELECT name FROM pipeline_fields WHERE name LIKE 'child%'").length, 4);
    assert.deepEqual(db.all("PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
