import assert from "node:assert/strict";
import { permissionsOf, pipelinesOf, type Service, SERVICES } from "../../cli/services.ts";
import type { RunEvent } from "../../shared/contracts/messages.ts";
import { needing } from "../support/needs.ts";
import { numbered, startPaged } from "../support/paged_source.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

/** Returns a definition of records `{ id }`, from a single response of `url`. */
function definition(name: string, url: string, more = ""): string {
  return `import * as z from "zod";
import { env, integer, pipeline, secret } from "etl";

export default pipeline({
  name: "${name}",
  record: z.object({ id: integer }),
  key: "id",
  ${more}
  source: { url: "${url}", paging: { by: "none" } },
});
`;
}

/** Creates a folder of definitions from their texts by name. */
async function definitions(texts: Record<string, string>): Promise<{ dir: string } & AsyncDisposable> {
  const dir = await Deno.makeTempDir({ prefix: "definitions-" });
  for (const [name, text] of Object.entries(texts)) await Deno.writeTextFile(`${dir}/${name}.ts`, text);
  return { dir, [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }) };
}

/** Returns the names of the files in a folder of the data directory. */
async function filesIn(pipeline: TestPipeline, folder: string): Promise<string[]> {
  try {
    return await Array.fromAsync(Deno.readDir(`${pipeline.folder}/data/${folder}`), ({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Collects the events of runs from now on. */
async function eventsOf(pipeline: TestPipeline) {
  const events: RunEvent[] = [];
  const stop = new AbortController();
  const bodies = await pipeline.channel.watch("channel:run_events", stop.signal);
  const reading = (async () => {
    for await (const body of bodies) events.push(JSON.parse(body));
  })();
  return {
    event: (runId: string, type: RunEvent["type"]) =>
      pipeline.until(
        `${type} of ${runId}`,
        () => events.find((one) => one.run_id === runId && one.type === type),
      ),
    of: (runId: string) => events.filter((one) => one.run_id === runId).map(({ type }) => type),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await reading;
    },
  };
}

Deno.test("a source that hangs blocks neither other pipelines nor their requests: a second request waits without using up an attempt", () =>
  hanging("embedded"));

needing("redis-server")("a source that hangs blocks no other pipeline over Redis", () => hanging("redis"));

async function hanging(channel: "embedded" | "redis") {
  const release = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  await using slow = await startPaged(async () => {
    arrived.resolve();
    await release.promise;
    return Response.json(numbered(3));
  });
  await using fast = await startPaged(() => Response.json(numbered(2)));
  await using folder = await definitions({
    slow: definition("slow", `${slow.origin}/slow`),
    fast: definition("fast", `${fast.origin}/fast`),
  });
  await using pipeline = await startPipeline({ sftp: "none", channel, env: { PIPELINES_DIR: folder.dir } });
  await using events = await eventsOf(pipeline);
  await pipeline.start("extractor");
  const first = await pipeline.tell("slow");
  await arrived.promise;
  const second = await pipeline.tell("slow");
  for (let i = 0; i < 3; i++) {
    await events.event(await pipeline.tell("fast"), "phase_completed");
  }
  assert.deepEqual(events.of(second), ["run_requested"], "it waits, without news");
  release.resolve();
  await events.event(first, "phase_completed");
  const started = await events.event(second, "phase_started");
  assert.equal(started.type === "phase_started" && started.attempt, 1);
  await events.event(second, "phase_completed");
  assert.equal((await filesIn(pipeline, "raw_slow")).length, 2);
  assert.equal((await filesIn(pipeline, "raw_fast")).length, 3);
  const state = await filesIn(pipeline, "state");
  assert.ok(state.includes("slow.json") && state.includes("fast.json"), state.join());
}

Deno.test("a broken definition, an unset secret, an unknown pipeline and one defined since fail only their own runs, with the reason; others run", async () => {
  await using source = await startPaged(() => Response.json(numbered(2)));
  await using folder = await definitions({
    good: definition("good", `${source.origin}/good`),
    broken: definition("broken", "no address"),
    secretive: definition("secretive", `${source.origin}/x`).replace(
      'by: "none" }',
      'by: "none" }, auth: { bearer: secret("NOT_SET_ANYWHERE") }',
    ),
  });
  await using pipeline = await startPipeline({ sftp: "none", env: { PIPELINES_DIR: folder.dir } });
  await using events = await eventsOf(pipeline);
  await pipeline.start("extractor");
  await Deno.writeTextFile(`${folder.dir}/since.ts`, definition("since", `${source.origin}/since`));
  const reasons: Record<string, RegExp> = {
    broken: /broken\.ts: source\.url: "no address": wanted an address/,
    secretive: /^Cannot extract secretive: NOT_SET_ANYWHERE is unset/,
    unknown: /no pipeline "unknown"/,
    since: /"since" was written after this service had read them all.* Start the services again/,
  };
  for (const [name, reason] of Object.entries(reasons)) {
    const failed = await events.event(await pipeline.tell(name), "run_failed");
    assert.match(failed.type === "run_failed" ? failed.reason : "", reason);
  }
  for (const name of ["broken", "secretive"]) {
    assert.ok(
      pipeline.logs().some(({ text }) => text.includes("can't be extracted") && text.includes(name)),
      name,
    );
  }
  await events.event(await pipeline.tell("good"), "phase_completed");
});

Deno.test("each pipeline has its schedule: one without a schedule is not run at the start, one with it is", async () => {
  await using source = await startPaged(() => Response.json(numbered(2)));
  await using folder = await definitions({
    planned: definition("planned", `${source.origin}/planned`, 'schedule: env("PLANNED_AT", "0 3 1 1 *"),'),
    requested: definition("asked", `${source.origin}/asked`),
  });
  await using pipeline = await startPipeline({
    sftp: "none",
    env: { PIPELINES_DIR: folder.dir, RUN_ON_START: "if-none", PLANNED_AT: "* * * * * *" },
  });
  await pipeline.start("extractor");
  await pipeline.until(
    "three planned runs",
    async () => (await filesIn(pipeline, "raw_planned")).length >= 3,
  );
  assert.deepEqual(await filesIn(pipeline, "raw_asked"), []);
  assert.ok((await filesIn(pipeline, "state/schedule")).includes("planned.json"));
});

Deno.test("the extractor reaches only the hosts of its definitions, and no other service can read their secrets", async () => {
  await using folder = await definitions({
    one: definition("one", "https://one.example/x").replace(
      'by: "none" }',
      `by: "none" }, origins: ["https://cdn.example:8443"],
      auth: { oauth2: { token: "https://login.example/token", id: secret("ONE_ID"), secret: secret("ONE_SECRET") } }`,
    ),
    two: definition("two", "http://two.example/x", 'schedule: env("TWO_AT", "off"),').replace(
      'http://two.example/x"',
      'http://two.example/x", query: { q: env("TWO_QUERY", "all") }',
    ),
    three: definition("three", "https://three.example/x").replace(
      'by: "none" }',
      'by: "none" }, auth: { bearer: secret("THREE_UNSET") }',
    ),
  });
  const env = {
    PIPELINES_DIR: folder.dir,
    ONE_ID: "id-value",
    ONE_SECRET: "secret-value",
    QUEUE_PATH: "q/queue.db",
  };
  const pipelines = await pipelinesOf(env);
  const permissions = (service: Service) => permissionsOf(service, env, pipelines);
  const granted = (service: Service, flag: string) =>
    permissions(service).find((one) => one.startsWith(`--allow-${flag}=`))?.split("=")[1]?.split(",") ?? [];
  assert.deepEqual(granted("extractor", "net"), [
    "one.example:443",
    "cdn.example:8443",
    "login.example:443",
    "two.example:80",
  ]);
  const own = ["ONE_ID", "ONE_SECRET", "TWO_AT", "TWO_QUERY", "THREE_UNSET"];
  assert.ok(own.every((name) => granted("extractor", "env").includes(name)));
  const probe = `${folder.dir}/probe.js`;
  await Deno.writeTextFile(
    probe,
    `const can = (work) => { try { return String(work()); } catch (error) { return error.name; } };
     const reach = (host) => fetch("https://" + host).then(() => "reached", (error) => error.name);
     console.log(JSON.stringify([can(() => Deno.env.get("ONE_SECRET")), await reach("elsewhere.example")]));`,
  );
  for (const service of SERVICES) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...permissions(service), probe],
      env,
    }).output();
    const [secret, reached] = JSON.parse(new TextDecoder().decode(stdout));
    assert.deepEqual([secret, reached], [
      service === "extractor" ? "secret-value" : "NotCapable",
      "NotCapable",
    ], service);
  }
});
