import assert from "node:assert/strict";
import { freePort } from "../support/free_port.ts";
import { childrenOf, isAlive, procOf } from "../support/processes.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";

async function started(pipeline: TestPipeline) {
  const supervisor = pipeline.beginTask("start");
  await Promise.all(
    ["extractor", "transformer", "saver", "api"].map((name) =>
      supervisor.line(new RegExp(`^${name} .*"message":"ready"`))
    ),
  );
  return supervisor;
}

Deno.test("a local SFTP server that is killed is restarted, as the log says, and runs are delivered", async () => {
  await using pipeline = await startPipeline({ sftp: "none" });
  const supervisor = await started(pipeline);
  const children = await childrenOf(supervisor.pid);
  const commands = await Promise.all(children.map((pid) => procOf(pid, "cmdline")));
  const sftp = children[commands.findIndex((command) => command.includes("sftp_server.ts"))]!;
  const restarted = supervisor.line(/sftp ended with exit code \d+; it is started again/);
  Deno.kill(sftp, "SIGKILL");
  await restarted;
  await supervisor.line(/SFTP server listens on/);
  const run = await pipeline.completed(await pipeline.tell());
  assert.equal(run.delivery_state, "DELIVERED");
  assert.equal(await supervisor.stop(), 0);
});

Deno.test("the reason why a local server doesn't start appears where the pipeline reports that it doesn't", async () => {
  await using pipeline = await startPipeline({ sftp: "none" });
  await Deno.writeTextFile(`${pipeline.folder}/sftp_data`, "no folder");
  for (const args of [["demo", "--once"], ["run", "users"]]) {
    const { code, stderr } = await pipeline.task(args[0]!, ...args.slice(1));
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^sftp +.*sftp_data.*\nsftp ended with exit code 1; its last lines say why\.\n$/);
  }
});

Deno.test("when the supervisor is killed all services end, and the next start works on the same port", async () => {
  await using pipeline = await startPipeline({ sftp: "none", env: { API_PORT: String(freePort()) } });
  const supervisor = await started(pipeline);
  const children = await childrenOf(supervisor.pid);
  assert.equal(children.length, 5);
  await pipeline.kill("start");
  const next = await started(pipeline);
  assert.equal((await pipeline.completed(await pipeline.tell())).delivery_state, "DELIVERED");
  await pipeline.until("the parts of the first supervisor have ended", async () => {
    const alive = await Promise.all(children.map(isAlive));
    return alive.includes(true) ? undefined : true;
  });
  assert.equal(await next.stop(), 0);
});
