/**
 * A second pipeline beside `users`, in the same services.
 *
 * @module
 */
import assert from "node:assert/strict";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

const ALL = ["extractor", "transformer", "saver"] as const;

/** Returns the number of rows in a table. */
function count(pipeline: TestPipeline, table: string): number {
  return pipeline.sql<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)[0]!.n;
}

/** Returns the counts of products, repeated ids, and the run's row. */
function products(pipeline: TestPipeline) {
  const [ids] = pipeline.sql<{ n: number; different: number }>(
    "SELECT count(*) AS n, count(DISTINCT id) AS different FROM raw_products",
  );
  return {
    ...ids,
    processed: count(pipeline, "processed_products"),
    invalid: count(pipeline, "invalid_products"),
  };
}

Deno.test("two pipelines run at once in the same services, each into its own tables, files and folder", async () => {
  await using pipeline = await startPipeline({ bad: 0.1 });
  await pipeline.start(...ALL);
  const [user, product] = await Promise.all([pipeline.tell("users"), pipeline.tell("products")]);
  const runs = await Promise.all([pipeline.completed(user), pipeline.completed(product)]);
  assert.deepEqual(
    runs.map(({ pipeline, valid_count, invalid_count }) => [pipeline, valid_count, invalid_count]),
    [
      ["users", 188, 20],
      ["products", 175, 19],
    ],
  );
  assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 188, invalid_users: 20 });
  assert.deepEqual(products(pipeline), { n: 194, different: 194, processed: 175, invalid: 19 });
  const reviews = pipeline.sql<{ reviews: string }>("SELECT DISTINCT reviews FROM processed_products");
  assert.deepEqual(reviews.map((row) => row.reviews), ["***"]);
  const stamp = /records_(\d{8}_\d{6})\.jsonl$/.exec(runs[1]!.raw_file!)![1];
  const delivered = await Array.fromAsync(
    Deno.readDir(`${pipeline.site!.disk}/products`),
    ({ name }) => name,
  );
  assert.deepEqual(delivered.sort(), [
    `etl_${stamp}.jsonl`,
    `invalid_products_${stamp}.jsonl`,
    `manifest_${stamp}.json`,
    `records_${stamp}.jsonl`,
  ]);
  const manifest = JSON.parse(
    await Deno.readTextFile(`${pipeline.site!.disk}/products/manifest_${stamp}.json`),
  );
  assert.deepEqual([manifest.pipeline, manifest.valid_count], ["products", 175]);
  assert.deepEqual(new Set(pipeline.events(product).map((event) => event.pipeline)), new Set(["products"]));
});

for (const service of ALL) {
  Deno.test(`a ${service} killed with two pipelines in progress loses or duplicates nothing of either`, async () => {
    await using pipeline = await startPipeline({ users: 3_000, delayMs: 20 });
    await pipeline.start(...ALL);
    const [user, product] = await Promise.all([pipeline.tell("users"), pipeline.tell("products")]);
    const phase = { extractor: "EXTRACTING", transformer: "TRANSFORMING", saver: "LOADING" }[service];
    await pipeline.until(
      `${service} at work`,
      () => pipeline.events(user).some((event) => "phase" in event && event.phase === phase),
    );
    await pipeline.kill(service);
    await pipeline.start(service);
    await Promise.all([pipeline.completed(user), pipeline.completed(product)]);
    assert.deepEqual(pipeline.tables(), { raw_users: 3_000, processed_users: 3_000, invalid_users: 0 });
    assert.deepEqual(products(pipeline), { n: 194, different: 194, processed: 194, invalid: 0 });
  });
}

Deno.test("invalid products are repaired by their own rules, and verify finds all copies of every run equal", async () => {
  await using pipeline = await startPipeline({ bad: 0.1 });
  await pipeline.start(...ALL, "api");
  const run = await pipeline.completed(await pipeline.tell("products"));
  const [, port] = /"port":(\d+)/.exec((await pipeline.logged(/"message":"ready".*"port":/, "api")).text)!;
  const ask = async (query: string, variables: Record<string, unknown>) => {
    const answer = await fetch(`http://127.0.0.1:${port}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await answer.json();
    assert.equal(errors, undefined);
    return data;
  };
  const { invalidRecords } = await ask(
    'query ($runId: ID!) { invalidRecords(runId: $runId, reason: "price") { edges { node { id errorReason } } } }',
    { runId: run.run_id },
  );
  const [{ node: bad }] = invalidRecords.edges;
  assert.equal(bad.errorReason, "price: -1 is less than 0");
  const replay = (price: number, dryRun: boolean) =>
    ask(
      `mutation ($input: ReplayInvalidRecordsInput!) { replayInvalidRecords(input: $input) {
        ... on ReplayDryRun { verdicts { valid problems } } ... on ReplayInvalidRecordsSuccess { runId }
      } }`,
      { input: { runId: run.run_id, patches: [{ recordId: bad.id, patch: { price } }], dryRun } },
    );
  const { replayInvalidRecords: dry } = await replay(-5, true);
  assert.deepEqual(dry.verdicts, [{ valid: false, problems: ["price: -5 is less than 0"] }]);
  const { replayInvalidRecords: { runId } } = await replay(5, false);
  const correction = await pipeline.completed(runId);
  assert.deepEqual([correction.pipeline, correction.correction_of, correction.valid_count], [
    "products",
    run.run_id,
    1,
  ]);
  assert.equal(count(pipeline, "processed_products"), 176);
  await pipeline.completed(await pipeline.tell("users"));
  const { code, stdout } = await pipeline.task("verify", "--run", "all");
  assert.equal(code, 0, stdout);
  assert.match(stdout, /Checked 3 runs: everything matches/);
});

Deno.test("database and queue may be in another folder: task run, verify and retention use them there", async () => {
  const elsewhere = await Deno.makeTempDir({ prefix: "elsewhere-" });
  try {
    const env = { DB_PATH: `${elsewhere}/data.db`, QUEUE_PATH: `${elsewhere}/queue.db` };
    await using pipeline = await startPipeline({ env });
    const run = await pipeline.task("run");
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /^Run \S+ COMPLETED: 208 valid/m);
    for (
      const [name, option, value] of [["verify", "--run", "latest"], ["retention", "--days", "1"]] as const
    ) {
      const { code, stderr } = await pipeline.task(name, option, value);
      assert.equal(code, 0, stderr);
    }
  } finally {
    await Deno.remove(elsewhere, { recursive: true });
  }
});

Deno.test("task run takes the names of pipelines, runs them at once, and refuses unknown ones", async () => {
  await using pipeline = await startPipeline();
  const { code, stdout, stderr } = await pipeline.task("run", "users", "products");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^users: Run \S+ COMPLETED: 208 valid/m);
  assert.match(stdout, /^products: Run \S+ COMPLETED: 194 valid/m);
  const none = await pipeline.task("run", "orders");
  assert.equal(none.code, 2);
  assert.match(none.stderr, /There is no pipeline "orders"\. Known: products, users\./);
  const unnamed = await pipeline.task("run");
  assert.equal(unnamed.code, 0, unnamed.stderr);
  assert.equal(
    pipeline.runs().filter((run) => run.pipeline === "users").length,
    2,
    "products has no schedule",
  );
});
