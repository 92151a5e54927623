import assert from "node:assert/strict";
import { needing } from "../tests/support/needs.ts";
import { plainClient } from "../tests/support/redis_client.ts";
import { startPipeline } from "../tests/support/test_pipeline.ts";

Deno.test("doctor says what is wrong with the source, and nothing of a run that there isn't", async () => {
  await using pipeline = await startPipeline({
    sftp: "none",
    wrap: () => () => new Response("", { status: 503 }),
  });
  const { code, stdout } = await pipeline.task("doctor");
  assert.equal(code, 1, stdout);
  const [line] = /^source .*$/m.exec(stdout) ?? [];
  assert.match(line!, /Cannot fetch a page of http:\S+: HTTP 503\. Check API_BASE_URL/);
  assert.doesNotMatch(line!, /skip=0|once|resume|state/);
  const { stdout: json } = await pipeline.task("doctor", "--json");
  const checks = json.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(checks.filter(({ ok }) => !ok).map(({ check }) => check), ["source"]);
});

needing("redis-server")("doctor says when Redis would delete messages to save memory", async () => {
  await using pipeline = await startPipeline({ sftp: "none", channel: "redis" });
  using operator = await plainClient(pipeline.redis!);
  await operator.configSet("maxmemory-policy", "volatile-lru");
  const { code, stdout } = await pipeline.task("doctor");
  assert.equal(code, 1, stdout);
  assert.match(stdout, /^channel +Redis deletes messages .*"volatile-lru"\. Set it to "noeviction"\.$/m);
});
