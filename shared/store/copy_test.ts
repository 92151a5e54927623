import assert from "node:assert/strict";
import { fillRun, user } from "../../tests/support/api.ts";
import { needing } from "../../tests/support/needs.ts";
import { type PostgresServer, startPostgres } from "../../tests/support/postgres.ts";
import { oldDatabase } from "../../tests/support/old_database.ts";
import { linesOf, tempStore, usersTables } from "../../tests/support/store.ts";
import { Database } from "../sqlite/database.ts";
import { newRunId } from "../contracts/ids.ts";
import { PermanentError, TransientError } from "../errors/errors.ts";
import { copyStore } from "./copy.ts";
import { openStore, openStoreToRead } from "./open.ts";
import { Postgres } from "./postgres/connection.ts";
import { type Defined, withMasks } from "./shown.ts";
import type { SqliteStore } from "./sqlite/open.ts";
import type { Store } from "./store.ts";

const test = needing("postgres");

/** Lines that are hard to store. */
const STRANGE = [
  '{"id": "x", "age": 70, "ssn": "900-590-289", "error_reason": "age: 70 is greater than 65; id: is no number"}',
  '{"id": 12345678901234567890, "age": 9007199254740993, "height": -0.0, "hair": {"n": 1.0}, "error_reason": "age: 9 is"}',
  'not\tJSON { \\ \\N \\. \r "\\u0000" \\ud800',
  'a NUL \0 and what follows "😀"\0',
  "\ufeffa byte order mark and a NUL \0",
  '{"id": 7, "crypto": [1, {"a": "\\u0000"}], "is": true, "no": false, "nothing": null, "error_reason": "bank: expected object"}',
];

/** Keys of every kind, and whole numbers of any length. */
const KEYS = {
  things: [
    ...[
      '"a"',
      '"a\\u0000b"',
      '"Ünï 😀"',
      '"\\u00e9"',
      '""',
      '"1"',
      "1",
      "-1.5",
      "1e3",
      "0.1",
      "9007199254740993",
    ],
    ...['"12345678901234567890"', "true", "null", `"${"long ".repeat(300)}"`],
  ],
  numbers: ["-7", "0", "9007199254740993", "9223372036854775807", "12345678901234567890"],
};

function defined(name: string, keyType?: "INTEGER"): Defined {
  const columns = [
    { keys: ["n"], type: "INTEGER" as const },
    { keys: ["x"], type: "REAL" as const },
    { keys: ["t"], type: "TEXT" as const },
  ];
  const current = { key: ["key"], keyType, load: "snapshot" as const, columns, index: ["n", "t"] };
  const shown = withMasks({ name, added: [], masked: ["secret"], judged: [], folder: null, current });
  return { ...shown, keys: ["key", "n", "x", "t"] };
}

const PIPELINES = [...usersTables(["ssn"]), defined("things"), defined("numbers", "INTEGER")];

/** Loads a run with these keys and one invalid record. */
async function load(store: Store, pipeline: string, n: number, keys: readonly string[]): Promise<string> {
  const run = { runId: newRunId(), pipeline, at: new Date().toISOString() };
  const texts = keys.map((key, at) =>
    `{"key": ${key}, "n": ${at % 2 ? n : `"${n}"`}, "x": -0.0, "t": "t\\u0000${n}", "secret": 1}`
  );
  await store.announceRun(run);
  for (const kind of ["raw", "processed", "invalid"] as const) {
    const lines = kind === "invalid" ? ['{"key": 3, "error_reason": "n: missing"}'] : texts;
    await store.loadFile({ ...run, kind, name: `data/${kind}_${run.runId}.jsonl` }, linesOf(lines));
  }
  await store.markLoaded({
    ...run,
    rawFile: "data/a",
    processedFile: "data/b",
    dlqFile: "data/c",
    validCount: texts.length,
    invalidCount: 1,
    completeness: { announced: null, received: texts.length, missing: 0, repeated: 0 },
    fields: ["key", "n", "new"],
  });
  return run.runId;
}

/** Creates runs of three pipelines, a correction, and a row in every table. */
async function fill(store: SqliteStore): Promise<void> {
  const users = (from: number, to: number, age = 28) =>
    Array.from({ length: to - from + 1 }, (_, n) => ({ ...user(from + n), age }));
  const first = await fillRun(store, { valid: users(1, 500), invalid: STRANGE });
  await fillRun(store, { valid: [...users(3, 450), ...users(451, 510, 29)], invalid: STRANGE.slice(1) });
  await fillRun(store, { valid: users(600, 600), correctionOf: first, corrects: [1] });
  for (const [name, keys] of Object.entries(KEYS)) {
    await load(store, name, 1, keys);
    await load(store, name, 1, keys.slice(0, 3));
    await load(store, name, 2, keys);
  }
  await store.write((db) =>
    db.script(
      `INSERT INTO run_events (id, run_id, at, actor, type, phase, body)
         VALUES ('e1', 'r', 't', 'saver', 'phase_started', NULL, '{"a": "\\u0000"}');
       INSERT INTO run_states VALUES ('r', '{"status": "COMPLETED"}');
       INSERT INTO holds (run_id, pipeline, reason, message, held_at) VALUES ('ключ', 'users', 'Tab	and \\', '{}', 't');
       INSERT INTO deliveries (run_id, kind, name, remote_path, sha256, bytes, verified, delivered_at)
         VALUES ('r', 'raw', 'n', 'p', 's', 9007199254740991, 'content', 't');
       INSERT INTO watched_schedules VALUES ('users', '0 3 * * *', 't', NULL);
       UPDATE etl_runs SET failure_reason = 'away ' || char(0) || ' and back' WHERE id = 2;`,
    )
  );
  // ids of removed rows aren't reused
  await store.write((db) =>
    db.script(
      `INSERT INTO notifications (id, webhook_id, receiver, host, type, text, happened_at, state)
         VALUES (5, 'w', 'r', 'h', 't', 'x', 't', 'SENT'), (9, 'w9', 'r', 'h', 't', 'x', 't', 'SENT');
       DELETE FROM notifications WHERE id = 9`,
    )
  );
}

/** A filled SQLite database and an empty PostgreSQL database. */
async function stage(server: PostgresServer) {
  const source = await tempStore();
  await source.store[Symbol.asyncDispose]();
  const store = await openStore({ path: source.path }, PIPELINES) as SqliteStore;
  await fill(store);
  const url = await server.createDatabase();
  const documents = [["extractor_state.json", '{"text": "\\u0000 ✓"}'], [
    "standing/things.json",
    "{}",
  ]] as const;
  return {
    store,
    url,
    name: new URL(url).pathname.slice(1),
    options: { path: source.path, url, documents },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    },
  };
}

test("a copy has every row of the SQLite database and gives the same answers; a second copy only compares", async () => {
  await using server = await startPostgres();
  await using staged = await stage(server);
  const { url, options } = staged;
  const { isNew, tables } = await copyStore(options);
  assert.equal(isNew, true);
  const rows = new Map(tables);
  assert.deepEqual([rows.get("etl_runs"), rows.get("raw_records"), rows.get('"raw_records$things"')], [
    9,
    506 + 513 + 1,
    2 * KEYS.things.length + 3,
  ]);
  assert.deepEqual(await copyStore(options), { isNew: false, tables });

  await using copy = (await openStoreToRead({ url }))!;
  for (const { name } of PIPELINES) assert.deepEqual(await copy.problemsOfCurrent(name), [], name);
  const { run_id } = (await copy.runs.byId(1))!;
  const file = (await copy.runs.filesOf([run_id])).get(run_id)!.find(({ kind }) => kind === "invalid")!;
  const lines = await Array.fromAsync(copy.records.unmaskedLines(file), ({ text }) => text);
  assert.deepEqual(lines, STRANGE);
  assert.equal((await copy.runs.byId(2))!.failure_reason, "away \ufffd and back");
  assert.equal(
    await server.psql("SELECT body FROM extractor_state ORDER BY name LIMIT 1", staged.name),
    '{"text": "\\u0000 ✓"}',
  );
});

test("every table and column of SQLite has its counterpart, except those that mean nothing in another database", async () => {
  await using server = await startPostgres();
  await using staged = await stage(server);
  await copyStore(staged.options);
  using sqlite = new Database(staged.options.path, { readOnly: true });
  await using postgres = new Postgres(staged.url, { name: "test" });
  const columns =
    `SELECT t.name || '.' || c.name AS name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!'`;
  const known = await postgres.all<{ name: string }>(
    "SELECT table_name || '.' || column_name AS name FROM information_schema.columns WHERE table_schema = current_schema()",
  );
  const names = new Set(known.map(({ name }) => name));
  const own = sqlite.all<{ name: string }>(columns).map(({ name }) => name).filter((name) =>
    !names.has(name)
  );
  assert.deepEqual(own, ["run_files.packed"]);
  for (
    const { name } of sqlite.all<{ name: string }>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'",
    )
  ) {
    const count = `SELECT count(*) AS n FROM "${name}"`;
    const { n } = sqlite.get<{ n: number }>(count)!;
    assert.ok(n > 0, `${name} has a row`);
    if (name !== "run_growth") assert.equal((await postgres.get<{ n: number }>(count))!.n, n, name);
  }
});

/** Returns the number of runs in the copy, or that it has no table. */
async function runsIn(server: PostgresServer, name: string): Promise<string> {
  return await server.psql("SELECT to_regclass('etl_runs') IS NOT NULL", name) === "t"
    ? await server.psql("SELECT count(*) FROM etl_runs", name)
    : "no table";
}

test("a database with any other content is refused and left unchanged; one where services made their tables isn't", async () => {
  await using server = await startPostgres();
  await using staged = await stage(server);
  const { url, name, options } = staged;
  await server.psql("CREATE TABLE customers (id INT)", name);
  await assert.rejects(copyStore(options), (error: Error) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, /it isn't empty, it has tables that this program did not make \(customers\)/);
    return true;
  });
  assert.equal(await runsIn(server, name), "no table");
  await server.psql("DROP TABLE customers", name);

  const saver = await openStore({ url }, [...PIPELINES, defined("others")]);
  await saver.keepWatched("users", { schedule: "0 4 * * *", judged_until: "t", late_at: null });
  await copyStore(options);
  assert.equal((await saver.notifications.watched("users"))!.schedule, "0 3 * * *");

  await fillRun(saver, { valid: [user(1)] });
  const rows = await server.psql(
    "SELECT count(*) FROM run_events UNION ALL SELECT count(*) FROM raw_records",
    name,
  );
  await assert.rejects(
    copyStore(options),
    /isn't empty \(rows: deliveries 1, etl_runs 10, .* isn't a copy of .*: etl_runs has 10 rows, wanted 9\. Nothing was changed/,
  );
  await server.psql(
    "DELETE FROM etl_runs WHERE id = 10; DELETE FROM run_files WHERE id > 27; DELETE FROM run_moves WHERE id > 9",
    name,
  );
  await assert.rejects(copyStore(options), /raw_records has \d+ rows, wanted \d+/);
  await server.psql(
    "DELETE FROM raw_records WHERE id > 28e9; DELETE FROM processed_records WHERE id > 28e9",
    name,
  );
  assert.notEqual(rows, "");
  await server.psql(`UPDATE raw_records SET json = json || ' ' WHERE id = 1000000007`, name);
  await assert.rejects(copyStore(options), /isn't a copy of .*: /);
  await saver[Symbol.asyncDispose]();
});

test("a copy that ends early leaves nothing, and the next one completes it", async () => {
  await using server = await startPostgres();
  await using staged = await stage(server);
  const { name, options } = staged;
  const stopAt = (step: string, table: string, stop: () => void) =>
    copyStore({
      ...options,
      progress: (...[at, of, done]) => {
        if (at === step && of === table && done > 0) stop();
      },
    });
  for (
    const [step, table] of [["copy", "raw_records"], ["copy", '"current$users"'], [
      "check",
      "run_files",
    ]] as const
  ) {
    const stop = () => {
      throw new Error("stopped");
    };
    await assert.rejects(stopAt(step, table, stop), /stopped/);
    assert.equal(await runsIn(server, name), "0");
  }
  await using other = new Postgres(server.url(), { name: "test" });
  const cut = () =>
    void other.run(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'etl migrate'",
    );
  await assert.rejects(stopAt("copy", "raw_records", cut), TransientError);
  assert.equal(await runsIn(server, name), "0");
  const down = Promise.withResolvers<void>();
  let isDown = false;
  const kill = () => {
    if (!isDown) server.kill().then(down.resolve, down.reject);
    isDown = true;
  };
  await assert.rejects(stopAt("check", "etl_runs", kill), TransientError);
  await down.promise;
  await server.start();
  assert.equal((await copyStore(options)).isNew, true);
  assert.equal(await runsIn(server, name), "9");
});

test("a database in use is not copied, nor one of another program", async () => {
  await using server = await startPostgres();
  await using staged = await stage(server);
  const { name, options } = staged;
  const write = () => {
    using other = new Database(options.path, { busyTimeoutMs: 1_000 });
    other.run("UPDATE watched_schedules SET late_at = ?", crypto.randomUUID());
  };
  const progress = (step: string, table: string) => step === "check" && table === "holds" && write();
  await assert.rejects(
    copyStore({ ...options, progress }),
    /somebody wrote to it meanwhile\. Nothing was kept/,
  );
  assert.equal(await runsIn(server, name), "0");
  await using old = await oldDatabase();
  await assert.rejects(
    copyStore({ ...options, path: old.path }),
    /its schema has version 4, wanted \d+\. Start the services of this program on it once/,
  );
  await assert.rejects(copyStore({ ...options, path: `${old.path}x` }), /there is no database\. Set DB_PATH/);
});

test("a store continues in its copy: numbers, repeated loads, the current state and removals", async () => {
  await using server = await startPostgres();
  await using staged = await stage(server);
  await copyStore(staged.options);
  await using copy = await openStore({ url: staged.url }, PIPELINES);
  await using reader = (await openStoreToRead({ url: staged.url }))!;
  const { store } = staged;
  const both = async <T>(
    read: (store: Store) => Promise<T>,
  ): Promise<[T, T]> => [await read(copy), await read(store)];
  const same = async (read: (store: Store) => Promise<unknown>) => {
    const [found, wanted] = await both(read);
    assert.deepEqual(found, wanted, read.toString());
  };
  const { run_id } = (await copy.runs.byId(4))!;
  const [file] = (await copy.runs.filesOf([run_id])).get(run_id)!;
  const again = {
    runId: run_id,
    pipeline: "things",
    kind: file!.kind,
    name: file!.name,
    sha256: file!.sha256,
  };
  await same((store) => store.loadFile(again, () => assert.fail("the file was read")));
  await same((store) => load(store, "things", 2, [...KEYS.things.slice(1), '"new"']).then(() => "loaded"));
  await same((store) => load(store, "numbers", 2, KEYS.numbers.slice(0, 4)).then(() => "loaded"));
  await same(async (store) =>
    (await store.runs.list({}, { limit: 20, offset: 0 })).map(({ id, pipeline }) => [id, pipeline])
  );
  for (const name of ["things", "numbers"]) {
    await same(async (store) =>
      (await store.current.changes(name, {}, { limit: 200 })).map((
        { change, before, after },
      ) => [change, before !== null, after !== null])
    );
    await same((store) => store.current.count(name));
  }
  const note =
    "INSERT INTO notifications (webhook_id, receiver, host, type, text, happened_at, state) VALUES ('n', 'r', 'h', 't', 'x', 't', 'SENT')";
  await server.psql(note, staged.name);
  assert.equal((await copy.notifications.list({ limit: 1 }))[0]!.id, 10);

  await both((store) => store.trim("9999"));
  for (const { name } of PIPELINES) {
    assert.deepEqual(await reader.problemsOfCurrent(name), [], name);
    await same((store) => store.current.page(name, {}, { limit: 5 }).then((rows) => rows.length));
  }
});

test("a copy holds only a few long records in memory at a time", async () => {
  await using server = await startPostgres();
  await using source = await tempStore();
  const long = Array.from({ length: 9 }, (_, n) => ({ ...user(n + 1), note: "é".repeat(1024 * 1024) }));
  await fillRun(source.store, { valid: long });
  const rows = new Map<string, number[]>();
  await copyStore({
    path: source.path,
    url: await server.createDatabase(),
    documents: [],
    progress: (step, table, done) =>
      void rows.set(`${step} ${table}`, [...rows.get(`${step} ${table}`) ?? [], done]),
  });
  for (const step of ["copy", "check"]) {
    assert.deepEqual(rows.get(`${step} processed_records`), [0, 4, 8, 9]);
  }
});
