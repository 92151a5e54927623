/**
 * Services that share no folder: the files of runs are in an S3-compatible store.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Environment, Service } from "../../cli/services.ts";
import type { S3Place } from "../../shared/files/s3/place.ts";
import { needing, SWIFT } from "../support/needs.ts";
import { keysIn, readObject, startS3, uploadsIn } from "../support/s3.ts";
import { type S3Proxy, startS3Proxy } from "../support/s3_proxy.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

const test = needing(...SWIFT);

const USERS = 20_000;

function variablesOf(place: S3Place): Environment {
  return {
    FILES_URL: `s3://${place.bucket}/${place.prefix}`,
    S3_ENDPOINT: place.endpoint,
    AWS_ACCESS_KEY_ID: place.accessKeyId,
    AWS_SECRET_ACCESS_KEY: place.secretAccessKey,
  };
}

/** Starts services, each with a data folder of its own. */
async function start(pipeline: TestPipeline, ...services: Service[]): Promise<void> {
  for (const service of services) {
    pipeline.env.DATA_DIR = `own/${service}`;
    await pipeline.start(service);
  }
}

/** What was delivered but the manifest, by kind; and the run's own files. */
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

/** Resolves when a request like this is on its way. */
function seen(proxy: S3Proxy, pattern: RegExp): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  proxy.fault = ({ method, url }) => {
    if (pattern.test(`${method} ${url}`)) resolve();
    return undefined;
  };
  return promise;
}

test("services that share a store and no folder make the files of a local run, byte for byte, though each is killed in the middle", async () => {
  const wanted = await localRun(USERS);
  await using server = await startS3();
  const place = await server.bucket();
  await using proxy = startS3Proxy(place);
  const asked: number[] = [];
  await using pipeline = await startPipeline({
    users: USERS,
    bad: 0.1,
    env: variablesOf(proxy.place),
    wrap: (answer) => (request) => {
      asked.push(Number(new URL(request.url).searchParams.get("skip")));
      return answer(request);
    },
  });

  let here = seen(proxy, /^PUT .*\.part\/.*\/000003$/);
  await start(pipeline, "extractor");
  const runId = await pipeline.tell();
  await here;
  await pipeline.kill("extractor");
  const before = asked.length;
  here = seen(proxy, /^PUT .*\/processed_users\/.*partNumber=2/);
  await start(pipeline, "extractor", "transformer");
  await here;
  const again = asked.slice(before).filter((skip) => asked.indexOf(skip) < before);
  assert.ok(again.length > 0 && again.length <= 100, `${again.length} pages of 100 were asked for again`);
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
