/**
 * Services without a shared folder: the files of runs are in an S3-compatible store.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Decrypter, generateIdentity, identityToRecipient } from "age-encryption";
import {
  type Environment,
  environmentOf,
  permissionsOf,
  pipelinesOf,
  type Service,
} from "../../cli/services.ts";
import { compose } from "../../shared/actor/message.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { ConfigError } from "../../shared/errors/errors.ts";
import { needing, SWIFT } from "../support/needs.ts";
import { keysIn, makeBucket, readObject, startS3, uploadsIn, variablesOf } from "../support/s3.ts";
import { type S3Proxy, startS3Proxy } from "../support/s3_proxy.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

const test = needing(...SWIFT);

const USERS = 20_000;

/** Starts services, each with a separate data folder. */
async function start(pipeline: TestPipeline, ...services: Service[]): Promise<void> {
  for (const service of services) {
    pipeline.env.DATA_DIR = `own/${service}`;
    await pipeline.start(service);
  }
}

/** Returns the delivered files except the manifest by kind, and the run's own files. */
async function delivered(pipeline: TestPipeline): Promise<Record<string, string>> {
  const names = (await pipeline.remoteFiles()).filter((name) => name.endsWith(".jsonl"));
  const texts = names.map(async (name) =>
    [name.replace(/_\d{8}_\d{6}/, ""), await Deno.readTextFile(`${pipeline.site!.disk}/${name}`)] as const
  );
  return Object.fromEntries(await Promise.all(texts));
}

async function localRun(users: number): Promise<Record<string, string>> {
  await using pipeline = await startPipeline({ users, bad: 0.1 });
  await pipeline.start("extractor", "transformer", "saver");
  await pipeline.completed(await pipeline.tell());
  return await delivered(pipeline);
}

/** Resolves once a matching request is on its way. */
function seen(proxy: S3Proxy, pattern: RegExp): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  proxy.fault = ({ method, url }) => {
    if (pattern.test(`${method} ${url}`)) resolve();
    return undefined;
  };
  return promise;
}

test("services that share a store but no folder produce the files of a local run, byte for byte, though each is killed midway", async () => {
  const wanted = await localRun(USERS);
  await using server = await startS3();
  const place = await server.bucket();
  await using proxy = startS3Proxy(place);
  const requested: number[] = [];
  await using pipeline = await startPipeline({
    users: USERS,
    bad: 0.1,
    env: variablesOf(proxy.place),
    wrap: (answer) => (request) => {
      requested.push(Number(new URL(request.url).searchParams.get("skip")));
      return answer(request);
    },
  });

  let here = seen(proxy, /^PUT .*\.part\/.*\/000003$/);
  await start(pipeline, "extractor");
  const runId = await pipeline.tell();
  await here;
  await pipeline.kill("extractor");
  const before = requested.length;
  here = seen(proxy, /^PUT .*\/processed_users\/.*partNumber=1/);
  await start(pipeline, "extractor", "transformer");
  await here;
  const again = requested.slice(before).filter((skip) => requested.indexOf(skip) < before);
  assert.ok(
    again.length > 0 && again.length <= 85,
    `${again.length} pages of 130 KB were asked for again, more than two parts`,
  );
  assert.ok(!again.includes(0), "it began where the store had its records");
  await pipeline.kill("transformer");
  here = seen(proxy, /^GET .*\/processed_users\//);
  await start(pipeline, "transformer", "saver");
  await here;
  await pipeline.kill("saver");
  proxy.fault = () => undefined;
  await start(pipeline, "saver");
  const run = await pipeline.completed(runId);

  assert.deepEqual(pipeline.tables(), {
    raw_users: USERS,
    processed_users: run.valid_count,
    invalid_users: run.invalid_count,
  });
  const files = await delivered(pipeline);
  assert.deepEqual(Object.keys(files), Object.keys(wanted));
  for (const [kind, text] of Object.entries(wanted)) assert.ok(files[kind] === text, `${kind} is the same`);
  const keys = (await keysIn(place)).filter((key) => !key.includes("/state/"));
  const [raw, processed, dead] = [run.raw_file!, run.processed_file!, run.dlq_file!];
  assert.deepEqual(keys, [dead, processed, raw].map((name) => `etl/${name}`).sort());
  assert.ok(await readObject(place, `etl/${raw}`) === wanted["records.jsonl"], "one final object");
  assert.ok((await uploadsIn(place)).length <= 2, "what died is removed after a day");
  for (const service of ["transformer", "saver"]) {
    await assert.rejects(Deno.stat(`${pipeline.folder}/own/${service}`), Deno.errors.NotFound);
  }
  assert.deepEqual(await pipeline.dataFiles(), []);

  const verified = await pipeline.task("verify", "--run", "latest", "--json");
  assert.equal(verified.code, 0, verified.stdout);
  const places = verified.stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  assert.deepEqual([...new Set(places.map(({ result }) => result))], ["equal"]);
});

test("files that are delivered encrypted are kept in the store, and a line is corrected from there", async () => {
  await using server = await startS3();
  const place = await server.bucket();
  const secret = await generateIdentity();
  await using pipeline = await startPipeline({
    users: 208,
    bad: 0.1,
    env: { ...variablesOf(place), SFTP_ENCRYPT_TO: await identityToRecipient(secret) },
  });
  await start(pipeline, "extractor", "transformer", "saver");
  const run = await pipeline.completed(await pipeline.tell());
  const sealed = await keysIn(place, `etl/data/sealed/${run.run_id}/`);
  assert.equal(sealed.length, 3);
  const decrypter = new Decrypter();
  decrypter.addIdentity(secret);
  const name = run.raw_file!.split("/").at(-1)!;
  const there = await decrypter.decrypt(await Deno.readFile(`${pipeline.site!.disk}/${name}.age`), "text");
  assert.equal(there, await readObject(place, `etl/${run.raw_file}`));

  const runId = newRunId();
  const [first] = (await readObject(place, `etl/${run.dlq_file}`)).split("\n");
  const { error_reason: _, ...record } = JSON.parse(first!);
  const right = {
    ...record,
    firstName: "Ada",
    email: "ada@example.com",
    age: 36,
    company: { department: "Legal" },
  };
  await pipeline.channel.publish(compose("channel:start_run", runId, {
    run_id: runId,
    requested_by: "test",
    correction: {
      of: run.run_id,
      dlq_file: run.dlq_file!,
      patches: [{ line: 1, text: JSON.stringify(right) }],
    },
  }));
  const corrected = await pipeline.completed(runId);
  assert.deepEqual([corrected.correction_of, corrected.valid_count, corrected.invalid_count], [
    run.run_id,
    1,
    0,
  ]);
  assert.match(await readObject(place, `etl/${corrected.processed_file}`), /"Ada"/);
  const left = (await keysIn(place)).filter((key) => key.includes(".part"));
  assert.deepEqual([left, await uploadsIn(place)], [[], []]);
});

test("a run whose bucket is missing fails with what to do, and completes by a replay once the bucket is created", async () => {
  await using server = await startS3();
  const place = { ...await server.bucket(), bucket: "made-later" };
  await using pipeline = await startPipeline({ sftp: "none", env: variablesOf(place) });
  await start(pipeline, "extractor", "transformer", "saver");
  const run = await pipeline.status("FAILED", await pipeline.tell());
  assert.match(
    run.failure_reason!,
    /there is no bucket "made-later"\. Make it, or correct FILES_URL\. To retry what has failed: deno task etl dead replay/,
  );
  await makeBucket(place);
  const mailbox = pipeline.channel.mailbox("channel:start_run");
  const [letter] = await mailbox.dead({ limit: 2 });
  assert.equal(letter!.reason, run.failure_reason);
  assert.ok(await mailbox.replay(letter!.id));
  await pipeline.until("its end", () => pipeline.run(run.run_id)?.status === "COMPLETED");
  assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 208, invalid_users: 0 });
});

test("doctor tries the services' operations on the store, and says what to do about each error", async () => {
  await using server = await startS3();
  const place = await server.bucket();
  const right = variablesOf(place);
  await using pipeline = await startPipeline({ sftp: "none", env: right });
  const look = async (change: Environment) => {
    Object.assign(pipeline.env, right, change);
    const { code, stdout } = await pipeline.task("doctor");
    return { code, line: /^files .*$/m.exec(stdout)?.[0] ?? stdout };
  };
  const good = await look({});
  assert.deepEqual([good.code, good.line.replace(/ +/, " ")], [
    0,
    `files ok: s3://${place.bucket}/etl at ${new URL(place.endpoint).host}, read, write, list and remove, ` +
    "no If-None-Match: locks and leases alone keep a second writer away",
  ]);
  assert.deepEqual(await keysIn(place), []);
  const mistakes: [Environment, RegExp][] = [
    [{ AWS_SECRET_ACCESS_KEY: "wrong" }, /Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/],
    [{ FILES_URL: "s3://nowhere" }, /there is no bucket "nowhere"\. Make it, or correct FILES_URL/],
    [{ S3_ENDPOINT: "http://127.0.0.1:9" }, /the store 127\.0\.0\.1:9 can't be reached/],
  ];
  for (const [change, wanted] of mistakes) {
    const { code, line } = await look(change);
    assert.equal(code, 1);
    assert.match(line, wanted);
  }
});

test("services reach the store but no folder for files, and no service starts with an incomplete configuration of it", async () => {
  const env = {
    FILES_URL: "s3://bucket/etl",
    S3_REGION: "eu-west-1",
    AWS_ACCESS_KEY_ID: "key",
    AWS_SECRET_ACCESS_KEY: "secret-value",
    AWS_SESSION_TOKEN: "token-value",
    REDIS_URL: "redis://redis.example",
    DATA_DIR: "own",
  };
  const pipelines = await pipelinesOf(env);
  const granted = (service: Service, flag: string, more: Environment = {}) =>
    permissionsOf(service, { ...env, ...more }, pipelines)
      .find((one) => one.startsWith(`--allow-${flag}=`))?.split("=")[1]?.split(",") ?? [];
  for (const service of ["extractor", "transformer", "saver"] as const) {
    assert.ok(granted(service, "net").includes("bucket.s3.eu-west-1.amazonaws.com:443"), service);
    assert.ok(granted(service, "net", { S3_ENDPOINT: "http://store:9000" }).includes("store:9000"), service);
    const written = [...granted(service, "write"), ...granted(service, "read")];
    assert.deepEqual(
      written.filter((path) => path.startsWith("own")),
      service === "extractor" ? ["own/state", "own/state"] : [],
    );
    assert.deepEqual(
      granted(service, "net", { FILES_URL: undefined }).filter((host) => host.includes("amazon")),
      [],
    );
    assert.throws(
      () => permissionsOf(service, { ...env, AWS_SECRET_ACCESS_KEY: undefined }, pipelines),
      (error) =>
        error instanceof ConfigError && /AWS_SECRET_ACCESS_KEY is unset: wanted one/.test(error.message),
    );
  }
  assert.deepEqual(granted("transformer", "write"), []);
  assert.ok(!granted("api", "net").some((host) => host.includes("amazon")));
  for (const name of ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] as const) {
    assert.equal(environmentOf("api", env, pipelines)[name], undefined);
    assert.equal(environmentOf("saver", env, pipelines)[name], env[name]);
  }
});
