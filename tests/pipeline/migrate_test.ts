/**
 * A move from SQLite to PostgreSQL with the real services and the real command. Work that started with one
 * engine continues with the other.
 *
 * @module
 */
import assert from "node:assert/strict";
import { compose } from "../../shared/actor/message.ts";
import { changingSource } from "../support/changing_source.ts";
import { needing } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { SECRET, startReceiver } from "../support/receiver.ts";
import { startPipeline } from "../support/test_pipeline.ts";

const test = needing("postgres");

const at = (second: number) => `2026-03-01T00:00:${String(second).padStart(2, "0")}Z`;

/** A pipeline whose source applies `since`, beside the usual one. */
const definitionOf = (port: number) =>
  `import * as z from "zod";
import { integer, pipeline } from "etl";

export default pipeline({
  name: "issues",
  record: z.object({ id: integer, at: z.iso.datetime() }),
  key: "id",
  source: {
    url: "http://127.0.0.1:${port}/",
    paging: { by: "none" },
    since: { field: "at", from: "2026-01-01T00:00:00Z", send: { since: "{}" } },
  },
  load: "upsert",
});
`;

test("services continue in PostgreSQL where they stopped with SQLite: numbers, since, repeats, verify and retention", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  const changes = [1, 2].map((id) => ({ id, at: at(id) }));
  const requested: string[] = [];
  await using source = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    requested.push(new URL(request.url).searchParams.get("since")!);
    return Response.json(changes.filter((change) => change.at >= requested.at(-1)!));
  });
  await using pipeline = await startPipeline({
    bad: 0.1,
    env: { PIPELINES_DIR: "pipelines" },
    async furnish(folder) {
      await Deno.mkdir(`${folder}/pipelines`);
      await Deno.writeTextFile(`${folder}/pipelines/issues.ts`, definitionOf(source.addr.port));
      for (const file of ["users.ts", "departments.csv"]) {
        await Deno.copyFile(
          new URL(`../../pipelines/${file}`, import.meta.url),
          `${folder}/pipelines/${file}`,
        );
      }
    },
  });
  const announcements = await pipeline.channel.watch("channel:phase2_complete", AbortSignal.timeout(60_000));
  const loaded = announcements[Symbol.asyncIterator]().next();
  await pipeline.start("extractor", "transformer", "saver");
  const first = await pipeline.completed(await pipeline.tell());
  await pipeline.completed(await pipeline.tell("issues"));
  await pipeline.until(
    "the outcome",
    async () => (await pipeline.channel.mailbox("channel:run_outcome").state()).depth === 0,
  );
  const rows = pipeline.tables();
  const { value: announced } = await loaded;

  const running = await pipeline.task("migrate", "--to", url);
  assert.equal(running.code, 1, running.stdout);
  assert.match(running.stderr, /^Cannot copy while services run: .*courier \(process \d+ on .*Stop them/);
  for (const service of ["extractor", "transformer", "saver"]) await pipeline.stop(service);

  const killed = pipeline.beginTask("migrate", "--to", url);
  await killed.line(/^comparing /);
  await pipeline.kill("migrate");
  assert.equal(await server.psql("SELECT count(*) FROM etl_runs", name), "0");
  const moved = await pipeline.task("migrate", "--to", url);
  assert.equal(moved.code, 0, moved.stderr);
  assert.match(
    moved.stdout,
    /\nCopied database\/data\.db to 127\.0\.0\.1:\d+\/test_1 and compared it: 2 runs, /,
  );
  const again = await pipeline.task("migrate", "--to", url);
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stdout, /is a copy of database\/data\.db already, and the same/);
  const password = decodeURIComponent(new URL(url).password);
  assert.ok(![moved, again, running].some(({ stdout, stderr }) => `${stdout}${stderr}`.includes(password)));

  pipeline.env.DATABASE_URL = url;
  const second = await pipeline.task("migrate", "--to", url);
  assert.equal(second.code, 2);
  assert.match(second.stderr, /^DATABASE_URL names 127\.0\.0\.1:\d+\/test_1 already/);
  changes.push({ id: 3, at: at(3) });
  await pipeline.start("extractor", "transformer", "saver");
  const completed = async (runs: number) =>
    await pipeline.until(
      `${runs} runs`,
      async () =>
        await server.psql("SELECT count(*) FROM etl_runs WHERE status = 'COMPLETED'", name) === String(runs),
    );
  const body = JSON.stringify({ ...JSON.parse(announced), id: "announced again" });
  await pipeline.channel.publish({ to: "channel:phase2_complete", id: "announced again", body });
  await pipeline.tell("issues");
  await completed(3);
  await pipeline.tell();
  await completed(4);
  assert.deepEqual(requested, ["2026-01-01T00:00:00Z", at(2)]);
  assert.equal(
    await server.psql("SELECT string_agg(id || pipeline, ' ' ORDER BY id) FROM etl_runs", name),
    "1users 2issues 3issues 4users",
  );
  assert.equal(await server.psql("SELECT count(*) FROM raw_users", name), String(2 * rows.raw_users));
  assert.equal(
    await server.psql("SELECT count(*) FROM users_changes", name),
    String(rows.processed_users),
    "nothing changed",
  );
  const verified = await pipeline.task("verify", "--run", "all");
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);

  await server.psql(
    `UPDATE etl_runs SET run_timestamp = '2025' || substr(run_timestamp, 5), loaded_at = '2025' || substr(loaded_at, 5),
    finished_at = '2025' || substr(finished_at, 5), delivered_at = '2025' || substr(delivered_at, 5), status_at = '2025' || substr(status_at, 5)
    WHERE id = 1; UPDATE run_files SET loaded_at = '2025' || substr(loaded_at, 5) WHERE run_id = '${first.run_id}';
    UPDATE deliveries SET delivered_at = '2025' || substr(delivered_at, 5) WHERE run_id = '${first.run_id}'`,
    name,
  );
  const retired = await pipeline.task("retention", "--days", "30", "--keep-runs", "30", "--apply");
  assert.equal(retired.code, 0, retired.stderr);
  assert.match(
    retired.stdout,
    /\n3 file\(s\) were removed\.\n[1-9]\d* record\(s\) and [1-9]\d* event\(s\) were removed/,
  );
});

test("a notification and a held run that wait during the move to PostgreSQL go on there: sent once, released once", async () => {
  await using server = await startPostgres();
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  const psql = (query: string) => server.psql(query, name);
  let isWell = false;
  await using receiver = startReceiver(() => new Response(null, { status: isWell ? 204 : 503 }));
  const source = changingSource();
  await using pipeline = await startPipeline({
    wrap: source.wrap,
    env: { NOTIFY_URL: receiver.url, NOTIFY_SECRET: SECRET },
  });
  await pipeline.start("extractor", "transformer", "saver");
  await pipeline.completed(await pipeline.tell());
  source.has(60);
  const { run_id } = await pipeline.status("HELD", await pipeline.tell());
  await receiver.times(1);
  await pipeline.until(
    "the failure",
    () => pipeline.sql<{ state: string }>("SELECT state FROM notifications")[0]?.state === "WAITING",
  );
  for (const service of ["extractor", "transformer", "saver"]) await pipeline.stop(service);
  const moved = await pipeline.task("migrate", "--to", url);
  assert.equal(moved.code, 0, moved.stderr);
  const failures = receiver.received.length;

  isWell = true;
  pipeline.env.DATABASE_URL = url;
  await pipeline.start("extractor", "transformer", "saver");
  await pipeline.until(
    "the notification",
    async () => await psql("SELECT state FROM notifications WHERE type = 'run.held'") === "SENT",
  );
  await pipeline.channel.publish(
    compose("channel:decision", "release", {
      run_id,
      pipeline: "users",
      decision: "released",
      requested_by: "ana",
    }),
  );
  await pipeline.until(
    "the release",
    async () => await psql(`SELECT status FROM etl_runs WHERE run_id = '${run_id}'`) === "COMPLETED",
  );
  assert.equal(receiver.received.filter(({ body }) => body.type === "run.held").length, failures + 1);
  assert.equal(await psql("SELECT count(*) FROM users"), "60");
  const verified = await pipeline.task("verify", "--run", "all");
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
});

test("migrate refuses unusable targets, and says what to do", async () => {
  await using server = await startPostgres();
  await using pipeline = await startPipeline({ sftp: "none" });
  const outputOf = async (...args: string[]) => {
    const { code, stderr } = await pipeline.task("migrate", ...args);
    return `${code} ${stderr}`;
  };
  assert.match(await outputOf(), /^2 Where to\? deno task migrate --to postgres:/);
  assert.match(
    await outputOf("--to", "mysql://root:hush@db/etl"),
    /^2 --to can't be used: wanted postgres:\/\/USER/,
  );
  assert.doesNotMatch(await outputOf("--to", "mysql://root:hush@db/etl"), /hush/);
  const url = await server.createDatabase();
  assert.match(
    await outputOf("--to", url),
    /^1 Cannot copy database\/data\.db: there is no database\. Set DB_PATH/,
  );
  await pipeline.start("saver");
  await pipeline.stop("saver");
  assert.match(
    await outputOf("--to", server.url("nowhere")),
    /^1 Cannot use the database .*\/nowhere: there is no database of this name/,
  );
  await server.stop();
  assert.match(await outputOf("--to", url), /^1 .*run this again\.\n.*nobody listens there/);
});
