/**
 * Tests what `deno task doctor` reports about PostgreSQL, Redis and an S3 store with wrong settings: one finding
 * each, and exit code 1.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Line } from "../tests/support/line.ts";
import { needing, SWIFT } from "../tests/support/needs.ts";
import { startPostgres } from "../tests/support/postgres.ts";
import { plainClient } from "../tests/support/redis_client.ts";
import { startS3, variablesOf } from "../tests/support/s3.ts";
import { startS3Proxy } from "../tests/support/s3_proxy.ts";
import { taskOf } from "../tests/support/task.ts";
import { startPipeline } from "../tests/support/test_pipeline.ts";

const test = needing("postgres", "redis-server", ...SWIFT);

/** Opens a line to a server that replaces the version in its replies. */
function lineTo(port: number, version: string, other: string): Promise<Line> {
  assert.equal(other.length, version.length);
  return Line.to(port, (reply) => {
    for (let at = reply.indexOf(version); at >= 0; at = reply.indexOf(version, at + 1)) {
      reply.write(other, at);
    }
  });
}

test("doctor finds each problem of the engines, says what to do, and exits with 1", async () => {
  await using server = await startPostgres();
  await using s3 = await startS3();
  const place = await s3.bucket();
  await using pipeline = await startPipeline({ sftp: "none", channel: "redis" });
  const good = {
    DATABASE_URL: await server.createDatabase(),
    REDIS_URL: pipeline.redis!.url,
    ...variablesOf(place),
  };
  /** Runs doctor with these variables in place of the valid ones; returns the failed checks by name. */
  const findings = async (env: Record<string, string>, ...before: string[]) => {
    const [run, ...args] = taskOf("doctor");
    const set = Object.entries({ ...pipeline.env, ...good, ...env }).filter((
      entry,
    ): entry is [string, string] => entry[1] !== undefined);
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: [run!, ...before, ...args, "--json"],
      cwd: pipeline.folder,
      env: Object.fromEntries(set),
      clearEnv: true,
    }).output();
    const checks = new TextDecoder().decode(stdout).trimEnd().split("\n").map((line) =>
      JSON.parse(line) as { check: string; ok: boolean | null; text: string }
    );
    const wrong = Object.fromEntries(checks.filter(({ ok }) => ok === false).map((c) => [c.check, c.text]));
    assert.equal(code, Object.keys(wrong).length === 0 ? 0 : 1);
    const text = Object.fromEntries(checks.map(({ check, text }) => [check, text]));
    return { wrong, text };
  };
  const find = async (env: Record<string, string>, wanted: Record<string, RegExp>, ...before: string[]) => {
    const { wrong } = await findings(env, ...before);
    assert.deepEqual(Object.keys(wrong).sort(), Object.keys(wanted).sort());
    for (const [check, says] of Object.entries(wanted)) assert.match(wrong[check]!, says);
  };

  const { wrong, text } = await findings({});
  assert.deepEqual(wrong, {});
  assert.match(text.database!, /PostgreSQL \d+\.\d+, UTF8, schema public, read committed, clock within 5 s/);
  assert.match(text.files!, /^s3:.* read, write, list and remove, no If-None-Match: locks and leases alone /);

  const version = (await server.psql("SHOW server_version_num")).trim();
  await using oldPostgres = await lineTo(server.port, version, `14${version.slice(2)}`);
  using operator = await plainClient(pipeline.redis!);
  const [, redisVersion] = /redis_version:(\S+)/.exec(await operator.info("server"))!;
  await using oldRedis = await lineTo(
    pipeline.redis!.port,
    redisVersion!,
    `6${redisVersion!.slice(1)}`,
  );
  await find({
    DATABASE_URL: oldPostgres.by(good.DATABASE_URL),
    REDIS_URL: oldRedis.by(good.REDIS_URL),
    AWS_SECRET_ACCESS_KEY: "another",
  }, {
    database: /the server has version 14, wanted 15 or newer\. Upgrade it/,
    channel: /it has version 6\.\S+, wanted 7 or newer\. Upgrade it/,
    files: /it refuses the signature\. Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/,
  });

  const latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
  await find({ DATABASE_URL: await server.createDatabase(latin), S3_REGION: "mars-north-1" }, {
    database: /its encoding is LATIN1, wanted UTF8\. Make a database with ENCODING 'UTF8'/,
    files: /it isn't in the region "mars-north-1"\. Correct S3_REGION/,
  });

  await find({ FILES_URL: "s3://missing/etl" }, {
    files: /there is no bucket "missing"\. Make it, or correct FILES_URL/,
  });
  await find(variablesOf(await s3.readOnly(place)), {
    files: /access denied\. Give the access key the right to read, write, list and remove "etl\*"/,
  });
  await find({ S3_ENDPOINT: "http://127.0.0.1:9", REDIS_URL: "redis://127.0.0.1:9" }, {
    files: /the store 127\.0\.0\.1:9 can't be reached.*Is it running\?/,
    channel: /Redis at "redis:\/\/127\.0\.0\.1:9" can't be reached.*Is it running\?/,
  });

  const ahead = new URL("../tests/support/clock_ahead.ts", import.meta.url).href;
  const clock = /The clock of \S.* differs by 3600 s from this machine's; .* Let both follow a time server/;
  await find({}, {
    database: clock,
    channel: clock,
    files:
      /the clocks are too far apart: the store's says .* GMT, this machine's .* Set this machine's clock/,
  }, `--preload=${ahead}`);
});

test("doctor reports whether the store respects If-None-Match, also if the store ignores the header", async () => {
  await using s3 = await startS3();
  await using pipeline = await startPipeline({ sftp: "none" });
  for (
    const [conditional, says] of [
      [true, /list and remove, If-None-Match$/],
      ["ignored", /list and remove, no If-None-Match/],
    ] as const
  ) {
    await using proxy = startS3Proxy(await s3.bucket(), { conditional });
    Object.assign(pipeline.env, variablesOf(proxy.place));
    const { code, stdout } = await pipeline.task("doctor");
    assert.equal(code, 0, stdout);
    assert.match(/^files +(.*)$/m.exec(stdout)![1]!, says);
  }
});
