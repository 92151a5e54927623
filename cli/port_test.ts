import assert from "node:assert/strict";
import { freePort } from "../tests/support/free_port.ts";
import { startPipeline } from "../tests/support/test_pipeline.ts";
import { nextFree } from "./port.ts";

/** Starts a pipeline whose `API_PORT` this process already uses. */
async function withTakenPort() {
  await using owned = new AsyncDisposableStack();
  const pipeline = owned.use(await startPipeline({ users: 20, sftp: "none" }));
  const taken = owned.use(Deno.listen({ hostname: "127.0.0.1", port: freePort() }));
  pipeline.env.API_PORT = String(taken.addr.port);
  const all = owned.move();
  return { pipeline, port: taken.addr.port, [Symbol.asyncDispose]: () => all[Symbol.asyncDispose]() };
}

const HOLDER = `(deno \\(process ${Deno.pid}\\)|another program)`;

Deno.test("start and api check the port before they start anything, and report who uses it", async () => {
  await using taken = await withTakenPort();
  await Promise.all(["start", "api"].map(async (task) => {
    const { code, stdout, stderr } = await taken.pipeline.task(task);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(
      stderr,
      new RegExp(
        `^Cannot start the API: port ${taken.port} of 127\\.0\\.0\\.1 is in use by ${HOLDER}\\. .*set API_PORT`,
      ),
    );
    await assert.rejects(Deno.stat(`${taken.pipeline.folder}/database/data.db`), Deno.errors.NotFound);
  }));
});

Deno.test("demo takes the next free port and reports it", async () => {
  await using taken = await withTakenPort();
  const { code, stdout, stderr } = await taken.pipeline.task("demo", "--once", "--users", "20");
  assert.equal(code, 0, stderr);
  const [, port] =
    new RegExp(`^Port ${taken.port} is in use by ${HOLDER}; the API listens on (?<port>\\d+)\\.`)
      .exec(stdout)?.slice(1) ?? [];
  assert.ok(Number(port) > taken.port, stdout);
  assert.match(stdout, /COMPLETED: 20 valid/);
});

Deno.test("the next free port is the first one without a listener", () => {
  using one = Deno.listen({ hostname: "127.0.0.1", port: freePort() });
  const next = nextFree("127.0.0.1", one.addr.port);
  assert.ok(next > one.addr.port);
  Deno.listen({ hostname: "127.0.0.1", port: next }).close();
});
