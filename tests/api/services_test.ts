import assert from "node:assert/strict";
import { status, withFaults } from "../support/faulty_source.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

Deno.test("the API, with only the permissions of its task, controls a run through all services and shows nobody's personal data", async (t) => {
  await using pipeline = await startPipeline({ users: 60, bad: 0.2 });
  await pipeline.start("extractor", "transformer", "saver", "api");
  const api = await addressOf(pipeline);
  const answers: string[] = [];
  const read = async (path: string, init?: RequestInit): Promise<Response> => {
    const answer = await fetch(`${api}${path}`, init);
    answers.push(await answer.clone().text());
    return answer;
  };
  const post = (path: string, body: unknown) =>
    read(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }).then((answer) => answer.json());

  const run = await t.step("startRun with wait answers with the completed run", async () => {
    const { data } = await post("/graphql", {
      query: `mutation { startRun(input: { wait: true, timeoutSeconds: 50 }) {
        ... on StartRunSuccess { finished run { id runId status validCount invalidCount delivery { state files { remotePath } } phases { phase records } } }
        ... on Problem { message }
      } }`,
    });
    assert.equal(data.startRun.finished, true, JSON.stringify(data));
    assert.equal(data.startRun.run.status, "COMPLETED");
    assert.equal(data.startRun.run.validCount + data.startRun.run.invalidCount, 60);
    assert.equal(data.startRun.run.delivery.state, "DELIVERED");
    assert.equal(data.startRun.run.delivery.files.length, 4);
  });
  assert.ok(run);

  await t.step("every route works", async () => {
    for (
      const path of [
        "/",
        "/etl_runs",
        "/etl_runs/1",
        "/data/raw_users?limit=1000",
        "/data/processed_users?limit=1000",
        "/data/invalid_users?limit=1000",
        "/openapi.json",
        "/docs",
        "/docs/init.js",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/healthz",
        "/readyz",
        "/metrics",
      ]
    ) assert.equal((await read(path)).status, 200, path);
    const graphiql = await fetch(`${api}/graphql`, { headers: { accept: "text/html" } });
    assert.match(await graphiql.text(), /GraphiQL/);
    for (const table of ["raw_users", "processed_users", "invalid_users"]) {
      const { rows } = await post("/query_sql", { query: `SELECT * FROM ${table}` });
      assert.ok(Array.isArray(rows));
    }
  });

  await t.step("records, invalid ones, and the echo of a dry run are masked", async () => {
    const { data } = await post("/graphql", {
      query: `{
        raw: records(table: RAW_USERS, first: 500) { nodes { data } } processed: records(table: PROCESSED_USERS, first: 500) { nodes { data } }
        invalidRecords(first: 500) { nodes { id runId data errorReason } } etlRuns { events { detail reason } reasons { reason } }
      }`,
    });
    assert.equal(data.raw.nodes.length, 60);
    const echo = await post("/graphql", {
      query: `mutation ($input: ReplayInvalidRecordsInput!) { replayInvalidRecords(input: $input) {
        ... on ReplayDryRun { verdicts { record problems } } ... on Problem { message } } }`,
      variables: {
        input: {
          runId: data.invalidRecords.nodes[0]?.runId,
          dryRun: true,
          patches: data.invalidRecords.nodes.map(({ id }: { id: string }) => ({
            recordId: id,
            patch: { password: "a-new-password" },
          })),
        },
      },
    });
    assert.equal(echo.data.replayInvalidRecords.verdicts.length, data.invalidRecords.nodes.length);
  });

  await t.step(
    "a corrected record passes the three phases as a run that is linked both ways",
    async () => {
      const { data: { invalidRecords } } = await post("/graphql", {
        query: '{ invalidRecords(reason: "age: greater than 65", first: 1) { nodes { id runId } } }',
      });
      const { id, runId } = invalidRecords.nodes[0];
      const { data } = await post("/graphql", {
        query: `mutation ($input: ReplayInvalidRecordsInput!) { replayInvalidRecords(input: $input) {
        ... on ReplayInvalidRecordsSuccess { runId verdicts { valid } } ... on Problem { message } } }`,
        variables: { input: { runId, patches: [{ recordId: id, patch: { age: 40 } }] } },
      });
      assert.deepEqual(data.replayInvalidRecords.verdicts, [{ valid: true }]);
      const correction = data.replayInvalidRecords.runId;
      await pipeline.completed(correction);
      const linked = await post("/graphql", {
        query: `{ of: etlRun(runId: "${runId}") { corrections { runId validCount invalidCount } }
        correction: etlRun(runId: "${correction}") { correctionOf { runId } delivery { state } }
        records(table: PROCESSED_USERS, runId: "${correction}") { nodes { data } }
        invalidRecords(runId: "${runId}", first: 500) { nodes { id corrections { runId } } } }`,
      });
      assert.deepEqual(linked.data.of.corrections, [{ runId: correction, validCount: 1, invalidCount: 0 }]);
      assert.deepEqual(linked.data.correction, { correctionOf: { runId }, delivery: { state: "DELIVERED" } });
      assert.equal(linked.data.records.nodes[0].data.age, 40);
      const corrected = linked.data.invalidRecords.nodes.filter((
        { corrections }: { corrections: unknown[] },
      ) => corrections.length > 0);
      assert.deepEqual(corrected, [{ id, corrections: [{ runId: correction }] }]);
    },
  );

  await t.step("a run that waits for a paused actor is cancelled", async () => {
    await post("/graphql", { query: 'mutation { pauseActor(name: "transformer") { __typename } }' });
    const { data } = await post("/graphql", {
      query: "mutation { startRun { ... on StartRunSuccess { runId run { status } } } }",
    });
    const { runId } = data.startRun;
    await pipeline.until(
      "the raw file's message",
      async () => (await pipeline.channel.mailbox("channel:phase1_complete").state()).depth === 1,
    );
    const cancelled = await post("/graphql", {
      query:
        `mutation { cancelRun(runId: "${runId}") { __typename ... on CancelRunSuccess { run { status failure { reason } } } } }`,
    });
    assert.equal(cancelled.data.cancelRun.run.status, "FAILED", JSON.stringify(cancelled));
    await post("/graphql", { query: 'mutation { resumeActor(name: "transformer") { __typename } }' });
    await pipeline.until(
      "the message to be settled",
      async () => (await pipeline.channel.mailbox("channel:phase1_complete").state()).depth === 0,
    );
    assert.equal(pipeline.runs().find((run) => run.run_id === runId)?.status, "FAILED");
  });

  await t.step(
    "no answer, no log line and no audit entry holds a real password, SSN, card or bank number",
    async () => {
      const secrets = new Set<string>(["a-new-password"]);
      for (const file of (await pipeline.dataFiles()).filter((name) => name.includes("raw_users"))) {
        for (const line of await pipeline.lines(file)) {
          const record = safely(line);
          for (
            const value of [
              record?.password,
              record?.ssn,
              record?.ein,
              record?.macAddress,
              record?.bank?.cardNumber,
              record?.bank?.iban,
              record?.crypto?.wallet,
            ]
          ) {
            if (typeof value === "string" && value.length > 4) secrets.add(value);
          }
        }
      }
      assert.ok(secrets.size > 100, `${secrets.size} secrets`);
      const audit = await Deno.readTextFile(`${pipeline.folder}/data/state/audit.jsonl`);
      assert.match(audit, /"action":"startRun"/);
      const texts = [...answers, audit, ...pipeline.logs().map(({ text }) => text)];
      for (const secret of secrets) {
        const found = texts.find((text) => text.includes(secret));
        assert.equal(found, undefined, `${JSON.stringify(secret)} in ${found?.slice(0, 300)}`);
      }
    },
  );
});

Deno.test("a run requested through GraphQL is one trace across API, extractor, transformer and saver", async () => {
  const spans: { traceId: string; name: string; service: string }[] = [];
  await using receiver = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const body = await request.text();
      if (new URL(request.url).pathname === "/v1/traces") {
        for (const { resource, scopeSpans } of JSON.parse(body).resourceSpans) {
          const pid = resource.attributes.find(({ key }: { key: string }) => key === "process.pid")?.value;
          for (const { spans: list } of scopeSpans) {
            for (const { traceId, name } of list) {
              spans.push({
                traceId,
                name,
                service: JSON.stringify(pid ?? ""),
              });
            }
          }
        }
      }
      return new Response("{}", { headers: { "content-type": "application/json" } });
    },
  );
  await using pipeline = await startPipeline({
    users: 20,
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${receiver.addr.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_SCHEDULE_DELAY: "200",
    },
  });
  await pipeline.start("extractor", "transformer", "saver", "api");
  const answer = await fetch(`${await addressOf(pipeline)}/graphql`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    },
    body: JSON.stringify({
      query:
        "mutation { startRun(input: { wait: true, timeoutSeconds: 50 }) { ... on StartRunSuccess { finished run { status } } } }",
    }),
  });
  assert.deepEqual((await answer.json()).data.startRun, { finished: true, run: { status: "COMPLETED" } });
  const ofRun = () =>
    new Set(
      spans.filter(({ traceId }) => traceId === "0af7651916cd43dd8448eb211c80319c").map(({ name }) => name),
    );
  const wanted = [/^POST \/graphql$/, /extractor/, /transformer/, /saver/, /courier/];
  await pipeline.until(
    "a span of each service in the caller's trace",
    () => wanted.every((name) => [...ofRun()].some((span) => name.test(span))),
    () =>
      `there were ${[...ofRun()].join(", ")}, and in other traces ${
        [...new Set(spans.map(({ name }) => name))].join(", ")
      }`,
    15_000,
  );
});

Deno.test("startRun while a failed run is unfinished resumes that run, and with wait answers with it", async () => {
  let isFixed = false;
  await using pipeline = await startPipeline({
    sftp: "none",
    wrap: withFaults(({ skip }) => skip === 100 && !isFixed ? status(404) : undefined),
  });
  await pipeline.start("extractor", "transformer", "saver", "api");
  const api = await addressOf(pipeline);
  const startRun = async (input: string) => {
    const answer = await fetch(`${api}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        query: `mutation { startRun(input: { ${input} }) {
          ... on StartRunSuccess { finished run { runId status } } ... on Problem { message } } }`,
      }),
    });
    return (await answer.json()).data.startRun;
  };
  const { run_id } = await pipeline.status("FAILED", await pipeline.tell());
  const again = await startRun("wait: false");
  await pipeline.until("the second request", () => pipeline.runs().length === 2);
  const second = again.run.runId;
  await pipeline.until(
    "the second failure",
    () => pipeline.events(run_id).filter(({ type }) => type === "run_failed").length === 2,
  );
  assert.equal(pipeline.runs().find((run) => run.run_id === second)?.superseded_by, run_id);
  isFixed = true;
  assert.deepEqual(await startRun("wait: true, timeoutSeconds: 50"), {
    finished: true,
    run: { runId: run_id, status: "COMPLETED" },
  });
  assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 208, invalid_users: 0 });
});

/** Waits until the API listens; returns its address. */
async function addressOf(pipeline: TestPipeline): Promise<string> {
  const { text } = await pipeline.logged(/"ready"/, "api");
  return `http://127.0.0.1:${JSON.parse(text).properties.port}`;
}

// deno-lint-ignore no-explicit-any -- a record of a foreign source has any shape
function safely(line: string): any {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
