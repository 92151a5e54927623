import assert from "node:assert/strict";
import { loadConfig } from "../shared/config/config.ts";
import { s3PlaceOf } from "../shared/config/variables.ts";
import { ConfigError } from "../shared/errors/errors.ts";
import { ExtractorVariables } from "./config.ts";
import { usersPlan } from "../tests/support/users.ts";
import { patienceOf, sourceOf } from "./source.ts";

Deno.test("an empty environment gives the documented defaults", () => {
  const config = loadConfig("extractor", ExtractorVariables, {});
  assert.deepEqual(config, {
    API_BASE_URL: "https://dummyjson.com/users",
    BATCH_SIZE: 100,
    SLEEP_INTERVAL_SECONDS: undefined,
    SCHEDULE: "0 3 * * *",
    SCHEDULE_CATCH_UP_HOURS: 24,
    TZ: "UTC",
    RUN_ON_START: "if-none",
    HTTP_TIMEOUT_SECONDS: 10,
    MAX_RETRIES: 3,
    RESUME_MAX_AGE_HOURS: 24,
    RETRY_DELAYS_SECONDS: [5, 15, 45],
    MAX_RESPONSE_BYTES: 52_428_800,
    MAX_PARALLEL: 4,
    PIPELINES_DIR: undefined,
    DATABASE_URL: undefined,
    DATA_DIR: "data",
    FILES_URL: undefined,
    S3_ENDPOINT: undefined,
    S3_REGION: "us-east-1",
    S3_PATH_STYLE: undefined,
    AWS_ACCESS_KEY_ID: undefined,
    AWS_SECRET_ACCESS_KEY: undefined,
    AWS_SESSION_TOKEN: undefined,
    LEASE_SECONDS: 30,
    LOG_FORMAT: "auto",
    LOG_LEVEL: "info",
    QUEUE_PATH: "database/queue.db",
    REDIS_HOST: undefined,
    REDIS_PORT: 6379,
    REDIS_URL: undefined,
  });
  using source = sourceOf(usersPlan, patienceOf(config), () => undefined);
  assert.deepEqual(source.retryDelaysMs, [5_000, 15_000, 45_000]);
  assert.equal(source.name, "https://dummyjson.com/users");
});

Deno.test("every unusable value is named with what was expected", () => {
  const wrong = {
    API_BASE_URL: "ftp://example.org/users",
    BATCH_SIZE: "0",
    SLEEP_INTERVAL_SECONDS: "often",
    SCHEDULE: "every day",
    TZ: "Mars/Olympus",
    RUN_ON_START: "maybe",
    HTTP_TIMEOUT_SECONDS: "-1",
    MAX_RETRIES: "many",
    RETRY_DELAYS_SECONDS: "5,,x",
    MAX_RESPONSE_BYTES: "1",
  };
  assert.throws(() => loadConfig("extractor", ExtractorVariables, wrong), (error: unknown) => {
    assert.ok(error instanceof ConfigError);
    for (const name of Object.keys(wrong)) {
      assert.ok(error.problems.some((one) => one.startsWith(`${name} is "`)), name);
    }
    return true;
  });
});

Deno.test("an unusable address of a store, or one that would lead to another bucket, is refused", () => {
  const keys = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
  const wrong: [Record<string, string>, RegExp][] = [
    [{ FILES_URL: "s3://bucket/../etl" }, /^FILES_URL is "s3:\/\/bucket\/\.\.\/etl": wanted s3:\/\/BUCKET/],
    [{ FILES_URL: "s3://bucket/a/." }, /^FILES_URL is .*wanted/],
    [{ S3_ENDPOINT: "https://s3.example.com/?x=1" }, /^S3_ENDPOINT is \(hidden\): wanted an address without/],
    [
      { S3_ENDPOINT: "https://me:word@s3.example.com" },
      /^S3_ENDPOINT is \(hidden\): wanted an address without/,
    ],
    [
      { S3_ENDPOINT: "http://10.0.0.1:9000", S3_PATH_STYLE: "false" },
      /^S3_PATH_STYLE is "false": wanted true/,
    ],
    [{ S3_ENDPOINT: "http://[::1]:9000", S3_PATH_STYLE: "false" }, /^S3_PATH_STYLE is "false": wanted true/],
  ];
  const placeOf = (env: Record<string, string>) =>
    s3PlaceOf(
      loadConfig("extractor", ExtractorVariables, { FILES_URL: "s3://bucket/etl/", ...keys, ...env }),
    );
  for (const [env, says] of wrong) {
    assert.throws(
      () => placeOf(env),
      (error) => error instanceof ConfigError && says.test(error.problems.join()),
    );
  }
  const { endpoint, prefix } = placeOf({
    S3_ENDPOINT: "https://s3.example.com/sub/",
    FILES_URL: "s3://b.c/..a/b",
  })!;
  assert.deepEqual([endpoint, prefix], ["https://s3.example.com/sub/", "..a/b"]);
});

Deno.test("an unusable address of a database is refused without being shown", () => {
  const addresses = [
    "postgres://etl:hidden#1@db/etl",
    "postgres://etl:hidden/1@db/etl",
    "postgres://etl:hidden%zz@db/etl",
    "postgres://etl:hidden@/etl?host=/var/run/postgresql",
    "postgres://etl:hidden@%2Fvar%2Frun/etl",
    "postgres://db/etl?password=hidden",
    "postgres://etl:hidden@db",
    "mysql://etl:hidden@db/etl",
  ];
  for (const DATABASE_URL of addresses) {
    assert.throws(() => loadConfig("extractor", ExtractorVariables, { DATABASE_URL }), (error: unknown) => {
      assert.ok(error instanceof ConfigError, `${error}`);
      assert.match(
        error.problems.join(),
        /^DATABASE_URL is \(hidden\): wanted postgres:\/\/USER:PASSWORD@HOST/,
      );
      assert.doesNotMatch(error.message, /hidden[^)]/);
      return true;
    });
  }
});
