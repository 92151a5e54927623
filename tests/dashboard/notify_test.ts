import assert from "node:assert/strict";
import { HIDDEN_PATH, HIDDEN_QUERY, SECRET, startReceiver } from "../support/receiver.ts";
import { startSite } from "./site.ts";

const NOTIFICATIONS = `{ notifications(first: 1) { pageInfo { hasNextPage } nodes {
  id webhookId type host pipeline runId text happenedAt state attempts triedAt result } } }`;

Deno.test("in a terminal a test is sent to all receivers, and their answers are shown", async () => {
  await using receiver = startReceiver();
  await using site = await startSite({ env: { NOTIFY_URL: receiver.url, NOTIFY_SECRET: SECRET } });
  const { pipeline } = site;
  const sent = await pipeline.task("etl", "notify", "--test", "--json");
  assert.equal(sent.code, 0, sent.stderr);
  const [line] = sent.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual([line.type, line.host, line.state, line.attempts, line.result], [
    "test",
    receiver.host,
    "SENT",
    1,
    "HTTP 204",
  ]);
  assert.equal(receiver.received[0]!.id, line.webhookId);
  receiver.answer = () => new Response(null, { status: 401 });
  const refused = await pipeline.task("etl", "notify", "--test");
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /WAITING .*HTTP 401/);
  const listed = await pipeline.task("etl", "notify", "--limit", "1");
  assert.match(listed.stdout, /^when .*\n.* test .*\n$/);

  const answer = await fetch(`${site.base}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: NOTIFICATIONS }),
  });
  const text = await answer.text();
  const { data: { notifications: { nodes, pageInfo } } } = JSON.parse(text);
  assert.deepEqual([nodes.length, nodes[0].state, pageInfo.hasNextPage], [1, "WAITING", true]);
  for (const output of [text, sent.stdout, refused.stdout, refused.stderr, listed.stdout]) {
    assert.ok(![HIDDEN_PATH, HIDDEN_QUERY, SECRET].some((secret) => output.includes(secret)));
  }
  assert.deepEqual(receiver.complaints, []);
});

Deno.test("a test notification without receivers reports that", async () => {
  await using site = await startSite();
  const { code, stdout } = await site.pipeline.task("etl", "notify", "--test");
  assert.equal(code, 1);
  assert.match(stdout, /nobody .*FAILED .*NOTIFY_URL is unset/);
});
