/**
 * Old and new services together: each service is replaced while runs continue, over Redis, PostgreSQL and an
 * S3 store.
 *
 * @module
 */
import assert from "node:assert/strict";
import { commandOf, type Service, SERVICES } from "../../cli/services.ts";
import { POSTGRES, sharing } from "../support/engines.ts";
import { needing, placeOf, SWIFT } from "../support/needs.ts";
import { freePort } from "../support/free_port.ts";
import { startS3, variablesOf } from "../support/s3.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

/**
 * The first version with both PostgreSQL and S3. Its schema is the current one; no version runs with an older
 * schema of PostgreSQL.
 */
const OLD = "66e61ac0565119737de5d4615bfd23c4b3cd0ad8";

const ROOT = new URL("../..", import.meta.url).pathname;

/** Whether this clone has the history with the old version. The clone of a CI job may not have it. */
const hasHistory = placeOf("git") !== undefined &&
  new Deno.Command("git", { args: ["cat-file", "-e", `${OLD}^{commit}`], cwd: ROOT, stderr: "null" })
    .outputSync().success;

const test = needing("git", "postgres", "redis-server", ...SWIFT);

/** Extracts the old version's files to a folder. */
async function oldProgram(): Promise<{ root: string } & AsyncDisposable> {
  const root = `${await Deno.makeTempDir({ prefix: "old-" })}/`;
  const archive = `${root}old.tar`;
  for (
    const [program, ...args] of [
      ["git", "-C", ROOT, "archive", "-o", archive, OLD],
      ["tar", "-xf", archive, "-C", root],
    ] as const
  ) {
    const { success, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" })
      .output();
    assert.ok(success, new TextDecoder().decode(stderr));
  }
  return { root, [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }) };
}

/** Creates a copy of this program with an additional migration. */
async function nextProgram(): Promise<{ root: string } & AsyncDisposable> {
  const root = `${await Deno.makeTempDir({ prefix: "next-" })}/`;
  const parts = ["api", "cli", "extractor", "local", "pipelines", "saver", "shared", "transformer"];
  const args = ["-r", ...[...parts, "deno.json", "deno.lock"].map((name) => ROOT + name), root];
  assert.ok((await new Deno.Command("cp", { args }).output()).success);
  const file = `${root}shared/store/postgres/migrate.ts`;
  const text = await Deno.readTextFile(file);
  const changed = text.replace(
    /(const MIGRATIONS: readonly string\[\] = \[[^\]]*)\]/,
    (_, steps) => `${steps}, "CREATE TABLE step_of_the_next (n int)"]`,
  );
  assert.notEqual(changed, text);
  await Deno.writeTextFile(file, changed);
  return { root, [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }) };
}

/** Starts a service of the program in `root`, as `name`. */
async function startOf(pipeline: TestPipeline, service: Service, name: string, root: string): Promise<void> {
  const command = commandOf(service, pipeline.env, pipeline.pipelines)
    .map((word) => word.replaceAll(ROOT, root));
  await pipeline.spawn(name, command).line(/"message":"ready"/);
}

sharing();
test("a newer version with a migration runs beside this one, saver first, while runs are processed: every run completes, once", async () => {
  await using next = await nextProgram();
  const ports = { old: freePort(), next: freePort() };
  await using pipeline = await startPipeline({ engine: POSTGRES, channel: "redis", bad: 0.1 });
  const ready = async (port: number) => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
    return [answer.status, (await answer.json() as { database: string }).database] as const;
  };
  const upgrade = (service: Service) => startOf(pipeline, service, `${service} of next`, next.root);
  pipeline.env.API_PORT = String(ports.old);
  await pipeline.start(...SERVICES);
  const runs = [await pipeline.tell()];
  await pipeline.completed(runs[0]);
  assert.equal((await ready(ports.old))[0], 200);

  pipeline.env.API_PORT = String(ports.next);
  await upgrade("api");
  assert.equal((await ready(ports.next))[0], 503, "a newer API waits for the step");
  await upgrade("saver");
  await pipeline.until(
    "the newer API is ready",
    async () => (await ready(ports.next))[0] === 200 || undefined,
  );
  const [status, why] = await ready(ports.old);
  assert.equal(status, 503);
  assert.match(why, /newer program|newer one/);
  for (const service of ["saver", "extractor", "transformer", "api"] as const) {
    runs.push(await pipeline.tell(), await pipeline.tell());
    for (const run of runs) await pipeline.completed(run); // at first with both savers, of which the old one loads nothing
    if (service === "extractor" || service === "transformer") await upgrade(service);
    assert.equal(await pipeline.stop(service), 0);
  }
  runs.push(await pipeline.tell());
  await pipeline.completed(runs.at(-1));
  assert.deepEqual(pipeline.tables(), {
    raw_users: 208 * runs.length,
    processed_users: 188 * runs.length,
    invalid_users: 20 * runs.length,
  });
  assert.equal((await pipeline.remoteFiles()).length, 4 * runs.length);
});

if (hasHistory) {
  test("each service is replaced by a newer one while runs are processed: every run completes, once, with either beside the other", async () => {
    await using old = await oldProgram();
    await using server = await startS3();
    const place = await server.bucket();
    await using pipeline = await startPipeline({
      engine: POSTGRES,
      channel: "redis",
      bad: 0.1,
      env: variablesOf(place),
    });
    await Promise.all(SERVICES.map((service) => startOf(pipeline, service, `${service} of old`, old.root)));
    const runs = [await pipeline.tell()];
    await pipeline.completed(runs[0]);
    for (const service of ["saver", "extractor", "api", "transformer"] as const) {
      await pipeline.start(service);
      runs.push(await pipeline.tell());
      assert.equal(await pipeline.stop(`${service} of old`), 0);
      runs.push(await pipeline.tell());
      for (const run of runs) await pipeline.completed(run);
    }
    assert.equal(pipeline.runs().length, runs.length);
    assert.deepEqual(pipeline.tables(), {
      raw_users: 208 * runs.length,
      processed_users: 188 * runs.length,
      invalid_users: 20 * runs.length,
    });
    assert.equal((await pipeline.remoteFiles()).length, 4 * runs.length);
    const verified = await pipeline.task("verify", "--run", "all");
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  });
} else {
  Deno.test.ignore(
    "each service is replaced by a newer one while runs are processed: this clone lacks the old version's history",
    () => {},
  );
}
