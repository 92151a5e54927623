/**
 * Restores what docs/operations.md says to back up: a dump of the database, and the bucket. The queue begins
 * empty.
 *
 * @module
 */
import assert from "node:assert/strict";
import { needing, placeOf, SWIFT } from "../support/needs.ts";
import { startPostgres } from "../support/postgres.ts";
import { startS3, variablesOf } from "../support/s3.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

const test = needing("postgres", ...SWIFT);

const USERS = 208;

async function run(program: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command(placeOf(program)!, { args }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
}

test("a dump and the bucket bring back everything, and later runs are loaded again from their files, once", async () => {
  await using server = await startS3();
  const place = await server.bucket();
  await using postgres = await startPostgres();
  const before = await postgres.createDatabase();
  await using lost = await startPipeline({
    users: USERS,
    bad: 0.1,
    env: { ...variablesOf(place), DATABASE_URL: before },
  });
  const rowsIn = (url: string, sql: string) => postgres.psql(sql, new URL(url).pathname.slice(1));
  const completed = (pipeline: TestPipeline, url: string, runId: string) =>
    pipeline.until(
      `run ${runId} is completed`,
      async () =>
        await rowsIn(url, `SELECT 1 FROM etl_runs WHERE run_id = '${runId}' AND status = 'COMPLETED'`)
          .catch(() => "") === "1",
    ); // the tables may not exist yet
  await lost.start("extractor", "transformer", "saver");
  const dumped = await lost.tell();
  await completed(lost, before, dumped);
  const dump = `${lost.folder}/etl.dump`;
  await run("pg_dump", "-Fc", "-f", dump, before);
  const later = await lost.tell();
  await completed(lost, before, later);
  for (const service of ["extractor", "transformer", "saver"]) await lost.stop(service);

  const after = await postgres.createDatabase();
  await run("pg_restore", "-d", after, "--no-owner", dump);
  await using restored = await startPipeline({
    users: USERS,
    bad: 0.1,
    sftp: "none",
    env: { ...variablesOf(place), ...lost.site!.env, DATABASE_URL: after },
    furnish: async (folder) => {
      await Deno.mkdir(`${folder}/ssh_keys`, { mode: 0o700 });
      for (const { name } of Deno.readDirSync(`${lost.folder}/ssh_keys`)) {
        await Deno.copyFile(`${lost.folder}/ssh_keys/${name}`, `${folder}/ssh_keys/${name}`);
      }
    },
  });
  await restored.start("extractor", "transformer", "saver");
  const next = await restored.tell();
  await completed(restored, after, next);
  const failure = await restored.until("the later run is loaded again, and its delivery fails", async () => {
    const sql = `SELECT failure_reason FROM etl_runs WHERE run_id = '${later}' AND status = 'FAILED'`;
    const reason = await rowsIn(after, sql);
    return reason !== "" && reason;
  });
  const [, manifest] = /(manifest_\d{8}_\d{6}\.json)/.exec(failure) ?? [];
  assert.ok(manifest !== undefined, failure);

  // what the manual says to do then
  await Deno.rename(`${lost.site!.disk}/${manifest}`, `${lost.site!.disk}/${manifest}.earlier`);
  const mailbox = restored.channel.mailbox("channel:deliver");
  const [letter] = await mailbox.dead({ limit: 2 });
  assert.ok(await mailbox.replay(letter!.id));
  await completed(restored, after, later);
  assert.equal(await rowsIn(after, "SELECT count(*), count(DISTINCT run_id) FROM etl_runs"), "3|3");
  assert.equal(await rowsIn(after, "SELECT count(*) FROM raw_records"), `${3 * USERS}`);
  const { code, stdout } = await restored.task("verify", "--run", "all");
  assert.equal(code, 0, stdout);
  assert.match(stdout, /Checked 3 runs: everything matches/);
});
