import assert from "node:assert/strict";
import { PermanentError, TransientError } from "../errors/errors.ts";
import { BusyError, Database, sqliteError, sqlName, sqlText } from "./database.ts";

async function inFolder(test: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("whole numbers are bound as integers, booleans as 1 and 0, undefined as NULL", () => {
  using db = new Database(":memory:");
  const types = db.get(
    "SELECT typeof(?) AS a, typeof(?) AS b, ? AS c, ? AS d, ? || '' AS e",
    5,
    5.5,
    true,
    undefined,
    5,
  );
  assert.deepEqual(types, { a: "integer", b: "real", c: 1, d: null, e: "5" });
});

Deno.test("numbers of a loop arrive in INTEGER columns as integers", () => {
  using db = new Database(":memory:");
  db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT) STRICT");
  const insert = db.repeat("INSERT INTO t VALUES (?, ?)");
  insert(9_000_000_000_001, "a");
  assert.deepEqual(db.get("SELECT id, typeof(id) AS type FROM t"), {
    id: 9_000_000_000_001,
    type: "integer",
  });
});

Deno.test("a table keeps 64-bit integers exact, and two columns of one name", () => {
  using db = new Database(":memory:");
  assert.deepEqual(db.table("SELECT 9223372036854775807 AS a, 7 AS a, 1.5 AS b, NULL AS c"), {
    columns: ["a", "a", "b", "c"],
    rows: [[9223372036854775807n, 7, 1.5, null]],
  });
});

Deno.test("a view that another connection recreated is read with its new columns", () =>
  inFolder((folder) => {
    using writer = new Database(`${folder}/x.db`);
    using reader = new Database(`${folder}/x.db`);
    writer.script("CREATE VIEW v AS SELECT 1 AS a");
    assert.deepEqual(reader.table("SELECT * FROM v").columns, ["a"]);
    writer.script("DROP VIEW v; CREATE VIEW v AS SELECT 1 AS a, 2 AS b");
    assert.deepEqual(reader.table("SELECT * FROM v"), { columns: ["a", "b"], rows: [[1, 2]] });
  }));

Deno.test("an authorizer sees through which view a table is read, and can refuse", () => {
  using db = new Database(":memory:");
  db.script("CREATE TABLE t (x); CREATE VIEW v AS SELECT x FROM t");
  const READ = 20;
  db.authorize((action, table, _column, _database, view) => action !== READ || table !== "t" || view === "v");
  assert.deepEqual(db.table("SELECT * FROM v").rows, []);
  assert.throws(() => db.table("SELECT * FROM t"), /prohibited/);
});

Deno.test("limits bound the size of values that a statement may build", () => {
  using db = new Database(":memory:", { limits: { length: 1000 } });
  assert.throws(() => db.table("SELECT zeroblob(2000)"), /too big/);
});

Deno.test("a lock held by another connection gives a busy error at once", () =>
  inFolder((folder) => {
    using one = new Database(`${folder}/x.db`);
    using other = new Database(`${folder}/x.db`);
    one.script("BEGIN IMMEDIATE");
    assert.throws(() => other.run("BEGIN IMMEDIATE"), BusyError);
    assert.throws(() => other.script("BEGIN IMMEDIATE"), BusyError);
    one.script("ROLLBACK");
    assert.equal(other.run("BEGIN IMMEDIATE"), 0);
  }));

Deno.test("a full disk is transient, and existing data stays", () =>
  inFolder((folder) => {
    using db = new Database(`${folder}/x.db`);
    db.script("CREATE TABLE t (x); INSERT INTO t VALUES (1); PRAGMA max_page_count = 4");
    assert.throws(() => db.run("INSERT INTO t VALUES (zeroblob(100000))"), (error: unknown) => {
      assert(error instanceof TransientError && !(error instanceof BusyError));
      assert.match(error.message, /the disk is full/);
      return true;
    });
    assert.deepEqual(db.all("SELECT x FROM t"), [{ x: 1 }]);
  }));

Deno.test("a file that isn't a database is refused and left unchanged", () =>
  inFolder((folder) => {
    const path = `${folder}/notes.txt`;
    Deno.writeTextFileSync(path, "these are my notes\n".repeat(100));
    using db = new Database(path);
    assert.throws(() => db.all("SELECT * FROM sqlite_schema"), (error: unknown) => {
      assert(error instanceof PermanentError);
      assert.match(error.message, /notes\.txt: file is not a database.*Move the file away/);
      return true;
    });
    assert.equal(Deno.readTextFileSync(path), "these are my notes\n".repeat(100));
  }));

Deno.test("a damaged database is a permanent failure", () =>
  inFolder((folder) => {
    const path = `${folder}/x.db`;
    {
      using db = new Database(path);
      db.script("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(200000))");
    }
    const bytes = Deno.readFileSync(path);
    Deno.writeFileSync(path, bytes.fill(0xff, 4096));
    using db = new Database(path);
    assert.throws(() => db.all("SELECT x FROM t"), PermanentError);
  }));

Deno.test("a missing folder, and a write over a read-only connection, are permanent failures", () =>
  inFolder((folder) => {
    assert.throws(() => new Database(`${folder}/none/x.db`), PermanentError);
    {
      using db = new Database(`${folder}/x.db`);
      db.script("CREATE TABLE t (x)");
    }
    using reader = new Database(`${folder}/x.db`, { readOnly: true });
    assert.throws(() => reader.run("INSERT INTO t VALUES (1)"), PermanentError);
  }));

Deno.test("errors in SQL are returned unchanged", () => {
  using db = new Database(":memory:");
  assert.throws(() => db.all("SELEC 1"), (error: unknown) => {
    assert(error instanceof Error && !(error instanceof PermanentError));
    assert.match(error.message, /syntax error/);
    return true;
  });
});

Deno.test("texts and names are quoted", () => {
  using db = new Database(":memory:");
  assert.deepEqual(db.table(`SELECT ${sqlText("it's")} AS ${sqlName('a "b" c')}`), {
    columns: ['a "b" c'],
    rows: [["it's"]],
  });
});

Deno.test("a lock lost in a race of readers (SQLITE_PROTOCOL) is waited for like any other", () => {
  for (const known of [{ errcode: 15 }, {}]) {
    const error = Object.assign(new Error("locking protocol"), { code: "ERR_SQLITE_ERROR", ...known });
    assert.ok(sqliteError("queue.db", error, "") instanceof BusyError);
  }
});
