/**
 * Old and new services side by side: each is replaced while runs flow, over Redis, PostgreSQL and an S3 store.
 *
 * @module
 */
import assert from "node:assert/strict";
import { commandOf, type Service, SERVICES } from "../../cli/services.ts";
import { POSTGRES, sharing } from "../support/engines.ts";
import { needing, placeOf, SWIFT } from "../support/needs.ts";
import { startS3 } from "../support/s3.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

/** The first version that has both PostgreSQL and S3. */
const OLD = "66e61ac0565119737de5d4615bfd23c4b3cd0ad8";

const ROOT = new URL("../..", import.meta.url).pathname;

/** Whether this clone has the history that the old version is in; that of CI may not. */
const hasHistory = placeOf("git") !== undefined &&
  new Deno.Command("git", { args: ["cat-file", "-e", `${OLD}^{commit}`], cwd: ROOT, stderr: "null" })
    .outputSync().success;

const test = needing("git", "postgres", "redis-server", ...SWIFT);

/** The old version's files, in a folder of their own. */
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

/** Starts the old version of a service, under a name of its own. */
async function startOld(pipeline: TestPipeline, service: Service, root: string): Promise<void> {
  const command = commandOf(service, pipeline.env, pipeline.pipelines)
    .map((word) => word.replaceAll(ROOT, root));
  await pipeline.spawn(`${service} of old`, command).line(/"message":"ready"/);
}

if (hasHistory) {
  sharing();
  test("each service is replaced by a newer one while runs flow: every run completes, once, with either beside the other", async () => {
    await using old = await oldProgram();
    await using server = await startS3();
    const place = await server.bucket();
    await using pipeline = await startPipeline({
      engine: POSTGRES,
      channel: "redis",
      bad: 0.1,
      env: {
        FILES_URL: `s3://${place.bucket}/${place.prefix}`,
        S3_ENDPOINT: place.endpoint,
        AWS_ACCESS_KEY_ID: place.accessKeyId,
        AWS_SECRET_ACCESS_KEY: place.secretAccessKey,
      },
    });
    await Promise.all(SERVICES.map((service) => startOld(pipeline, service, old.root)));
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
    "each service is replaced by a newer one while runs flow: this clone lacks the old version's history",
    () => {},
  );
}
