import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { PermanentError, TransientError } from "../../errors/errors.ts";
import { POSTGRES, sharing } from "../../../tests/support/engines.ts";
import { needing } from "../../../tests/support/needs.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import { type ConnectionOptions, Postgres } from "./connection.ts";

const test = needing("postgres");
sharing();

/** Connects to a separate database on the server that this file's tests share. */
async function connected(options: Partial<ConnectionOptions> = {}): Promise<Postgres> {
  const { at } = await POSTGRES.place();
  if (!("url" in at)) throw new Error("it has no address");
  return new Postgres(at.url, { name: "test", ...options });
}

test("values arrive as in SQLite, and every kind can be bound", async () => {
  await using db = await connected();
  const row = await db.get(
    `SELECT $1::text AS text, $2::int AS flag, $3::bigint AS big, $4::bigint AS small, $5::text AS nothing,
       $6::text[] = ARRAY['a,"b', 'c\\d'] AS texts, 12345678901234567890.5::numeric AS exact, 1.50::numeric AS short,
       10::numeric AS ten, '{"a": 1}'::jsonb AS json, now() IS NOT NULL AS truth`,
    "it's",
    true,
    2n ** 60n,
    5,
    undefined,
    ['a,"b', "c\\d"],
  );
  assert.deepEqual(row, {
    text: "it's",
    flag: 1,
    big: 2n ** 60n,
    small: 5,
    nothing: null,
    texts: true,
    exact: "12345678901234567890.5",
    short: 1.5,
    ten: 10,
    json: '{"a": 1}',
    truth: true,
  });
  assert.deepEqual(await db.table("SELECT 1 AS x, 2 AS x"), { columns: ["x", "x"], rows: [[1, 2]] });
});

test("a pooler that takes no settings at a connection's start gets none", async () => {
  const { at } = await POSTGRES.place();
  const url = `${(at as { url: string }).url}?search_path=pg_catalog&work_mem=5MB`;
  await using db = new Postgres(url, { name: "test", statementMs: 7_000, settings: { jit: "off" } });
  const settings = await db.all<{ source: string; name: string; setting: string }>(
    "SELECT source, name, setting FROM pg_settings WHERE source IN ('client', 'session')",
  );
  const ofSource = (wanted: string) => settings.filter(({ source }) => source === wanted);
  assert.deepEqual(ofSource("client").map(({ name }) => name).sort(), [
    "application_name",
    "client_encoding",
  ]);
  const own = new Map(ofSource("session").map(({ name, setting }) => [name, setting]));
  const wanted = { statement_timeout: "7000", jit: "off", search_path: "pg_catalog", work_mem: "5120" };
  for (const [name, setting] of Object.entries(wanted)) assert.equal(own.get(name), setting, name);
});

test("a transaction is committed as a whole or not at all", async () => {
  await using db = await connected();
  await db.script("CREATE TABLE t (x int)");
  await assert.rejects(
    db.transaction(async (session) => {
      await session.run("INSERT INTO t VALUES (1)");
      throw new RangeError("no");
    }),
    RangeError,
  );
  assert.equal(await db.transaction((session) => session.run("INSERT INTO t VALUES (2), (3)")), 2);
  assert.deepEqual(await db.all("SELECT x FROM t ORDER BY x"), [{ x: 2 }, { x: 3 }]);
});

test("errors that may pass are transient, the others say what to do; no message has a password", async () => {
  await using server = await startPostgres();
  const databases = await server.psql("SELECT count(*) FROM pg_database");
  assert.equal(databases, "3");
  await server.psql("CREATE ROLE low LOGIN PASSWORD 'low'; CREATE TABLE secret (x int)");
  await server.psql("CREATE ROLE one LOGIN PASSWORD 'one' CONNECTION LIMIT 0");
  const reason = async (
    url: string,
    sql = "SELECT 1",
    kind: typeof PermanentError | typeof TransientError,
  ) => {
    await using db = new Postgres(url, { name: "test", statementMs: 200, lockMs: 100 });
    const error = await db.all(sql).then(() => undefined, (error) => error);
    assert.ok(error instanceof kind, `${sql} at ${url}: ${error}`);
    assert.ok(!error.message.includes("s3cret") && !error.message.includes("wrong-word"), error.message);
    return error.message;
  };
  const own = server.url();
  assert.match(
    await reason(server.url("postgres", "etl", "wrong-word"), "SELECT 1", PermanentError),
    /is refused/,
  );
  assert.match(await reason(server.url("nowhere"), "SELECT 1", PermanentError), /no database of this name/);
  assert.match(
    await reason(server.url("postgres", "low", "low"), "SELECT * FROM secret", PermanentError),
    /permission denied for table secret\. Give the user/,
  );
  assert.match(
    await reason(server.url("postgres", "one", "one"), "SELECT 1", TransientError),
    /max_connections/,
  );
  assert.match(await reason(own, "SELECT pg_sleep(5)", TransientError), /took too long/);
  assert.match(
    await reason(`${own}?channel_binding=require`, "SELECT 1", PermanentError),
    /unrecognized configuration parameter "channel_binding"\. Correct the parameters of DATABASE_URL/,
  );
  await using other = new Postgres(own, { name: "holder" });
  await assert.rejects(
    other.transaction((session) => session.script("CREATE TABLE t (x int)"), "READ ONLY"),
    (error) => error instanceof TransientError && /only takes reads/.test(error.message),
  );
  await other.transaction(async (session) => {
    await session.run("LOCK TABLE secret");
    assert.match(await reason(own, "SELECT * FROM secret", TransientError), /holds a lock/);
  });
  assert.match(
    await reason("postgres://a:wrong-word@127.0.0.1:1/x", "SELECT 1", TransientError),
    /127\.0\.0\.1:1\/x: nobody listens/,
  );
  assert.match(await reason("postgres://a:b@nobody.invalid/x", "SELECT 1", TransientError), /host's name/);
});

test("a killed, stopped or frozen server is a transient error, and is used again when it is back", async () => {
  await using server = await startPostgres();
  await using db = new Postgres(server.url(), { name: "test", statementMs: 500 });
  const works = async () => assert.deepEqual(await db.all("SELECT 1 AS x"), [{ x: 1 }]);
  const fails = (sql = "SELECT 1") => assert.rejects(db.all(sql), TransientError);
  await works();
  for (const end of ["kill", "stop"] as const) {
    const running = assert.rejects(
      db.transaction(async (session) => {
        await session.run("CREATE TABLE IF NOT EXISTS t (x int)");
        await server[end]();
        await session.run("INSERT INTO t VALUES (1)");
      }),
      TransientError,
    );
    await running;
    await fails();
    await server.start();
    await works();
  }
  await server.psql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'etl test'",
  );
  // each ended connection reports its end at most once
  for (let n = 0; n < 5; n++) {
    await db.all("SELECT 1").catch((error) => assert.ok(error instanceof TransientError));
  }
  await works();
});

test("a server that doesn't answer is abandoned soon after the timeout", async () => {
  await using server = await startPostgres();
  await using db = new Postgres(server.url(), { name: "test", statementMs: 200 });
  await db.all("SELECT 1");
  await server.freeze();
  const begun = performance.now();
  await assert.rejects(db.all("SELECT 1"), /doesn't answer|nobody answered/);
  assert.ok(performance.now() - begun < 15_000);
  await server.thaw();
  assert.deepEqual(await db.all("SELECT 1 AS x"), [{ x: 1 }]);
});

Deno.test("a server that accepts connections and closes them silently, as a relay whose target is down, is reported at once", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const relay = (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(8));
      connection.close();
    }
  })();
  {
    await using db = new Postgres(`postgres://a:b@127.0.0.1:${listener.addr.port}/x`, { name: "test" });
    const begun = performance.now();
    await assert.rejects(
      db.all("SELECT 1"),
      (error) => error instanceof TransientError && /the connection was lost/.test(error.message),
    );
    assert.ok(performance.now() - begun < 5_000);
  }
  listener.close();
  await relay;
});

needing("postgres", "openssl")("TLS is used as sslmode requires", async () => {
  await using server = await startPostgres({ tls: true, settings: { ssl_min_protocol_version: "TLSv1.2" } });
  const isEncrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
  {
    await using db = new Postgres(`${server.url()}?sslmode=require`, { name: "test" });
    assert.deepEqual(await db.all(isEncrypted), [{ ssl: true }]);
  }
  await using strict = new Postgres(`${server.url()}?sslmode=verify-full`, { name: "test" });
  await assert.rejects(
    strict.all(isEncrypted),
    (error) => error instanceof PermanentError && /sslmode/.test(error.message),
  );
  const address = `${server.url().replace("127.0.0.1", "localhost")}?sslmode=verify-full`;
  await using trusting = new Postgres(`${address}&sslrootcert=${server.certificate}`, { name: "test" });
  assert.deepEqual(await trusting.all(isEncrypted), [{ ssl: true }]);
  const otherName = address.replace("localhost", "127.0.0.1");
  await using lacking = new Postgres(`${address}&sslrootcert=nowhere.crt`, { name: "test" });
  await assert.rejects(
    lacking.all("SELECT 1"),
    (error) => error instanceof PermanentError && /"nowhere\.crt".*Correct sslrootcert/.test(error.message),
  );
  await using other = new Postgres(`${otherName}&sslrootcert=${server.certificate}`, { name: "test" });
  await assert.rejects(other.all(isEncrypted), PermanentError);
  await using plain = new Postgres(server.url(), { name: "test" });
  assert.deepEqual(await plain.all(isEncrypted), [{ ssl: true }]);
});

test("a connection keeps nothing of its earlier answers in memory", async () => {
  await using db = await connected({ max: 1 });
  const ask = () => db.get<object>("SELECT 1 AS x");
  const answered = async () => new WeakRef((await ask())!);
  await ask(); // the client keeps the first result of a statement
  const answers = [await answered(), await answered()];
  await ask(); // and the newest one
  collectGarbage();
  assert.deepEqual(answers.map((answer) => answer.deref()), [undefined, undefined]);
});

function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

test("a COPY whose connection is lost fails once, wherever that happens", async () => {
  const lostAt = {
    "before it begins": [],
    "between two of its pieces": ["1\n", "2\n"],
    "while more is ready than the connection takes": ["1\n", `${"2".repeat(9)}\n`.repeat(100_000)],
  };
  for (const [when, [first, ...others]] of Object.entries(lostAt)) {
    await using db = await connected();
    const pieces = async function* () {
      if (first !== undefined) yield first;
      db.abandon();
      yield* others;
    };
    const copied = db.transaction(async (session) => {
      await session.script("CREATE TABLE t (x int)");
      if (first === undefined) db.abandon();
      await session.copy("COPY t FROM STDIN", pieces());
    });
    await assert.rejects(copied, TransientError, when);
  }
});
