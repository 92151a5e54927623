import assert from "node:assert/strict";
import { needing } from "../../../tests/support/needs.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import { inspect } from "./inspect.ts";
import { openPostgres } from "./store.ts";

const test = needing("postgres");

test("doctor finds each wrong setting and privilege of PostgreSQL, and says what to do", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  const settings = [
    ["default_transaction_isolation", "'repeatable read'", /transactions are "repeatable read".*pooler/],
    ["synchronous_commit", "off", /synchronous_commit is off.*ALTER DATABASE/],
    ["default_transaction_read_only", "on", /default_transaction_read_only is on\. Set it to off/],
    ["search_path", "nowhere", /has no schema/],
  ] as const;
  for (const [setting, value, says] of settings) {
    await server.psql(`ALTER DATABASE ${name} SET ${setting} = ${value}`);
    if (setting === "default_transaction_isolation") {
      // set in each session, so only a pooler could lose it
      assert.match(await inspect(url), /read committed/);
    } else await assert.rejects(inspect(url), says);
    await server.psql(`ALTER DATABASE ${name} RESET ${setting}`);
  }
  for (const setting of ["autovacuum", "full_page_writes", "fsync"]) {
    await server.psql(`ALTER SYSTEM SET ${setting} = off`);
    await server.psql("SELECT pg_reload_conf()");
    await assert.rejects(inspect(url), new RegExp(`${setting}.* off, so that`));
    await server.psql(`ALTER SYSTEM RESET ${setting}`);
  }
  await server.psql("SELECT pg_reload_conf()");
  await server.psql("CREATE ROLE low LOGIN PASSWORD 'low'");
  const low = server.url(name, "low", "low");
  await assert.rejects(inspect(low), /user low may not make tables .*GRANT CREATE, USAGE/);
  await server.psql("GRANT CREATE, USAGE ON SCHEMA public TO low", name);
  assert.match(await inspect(low), /UTF8, schema public, read committed, clock within 5 s/);
  await (await openPostgres(url, []))[Symbol.asyncDispose]();
  await assert.rejects(inspect(low), /belongs to etl, and user low can't change it/);
  await assert.rejects(inspect(`${url}_gone`), /there is no database of this name/);
});
