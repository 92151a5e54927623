import assert from "node:assert/strict";
import { Webhook } from "standardwebhooks";
import { compose } from "../../shared/actor/message.ts";
import { runActor } from "../../shared/actor/run_actor.ts";
import type { Channel } from "../../shared/channel/channel.ts";
import { openChannel } from "../../shared/channel/open.ts";
import { channelBeside, type Engine, onEachEngine, SQLITE, storeOn } from "../../tests/support/engines.ts";
import {
  HIDDEN_PATH,
  HIDDEN_QUERY,
  SECRET,
  startReceiver,
  startTalker,
  type TestReceiver,
} from "../../tests/support/receiver.ts";
import { startRedis } from "../../tests/support/redis.ts";
import { openTemporaryChannel } from "../../tests/support/temporary_channel.ts";
import { notifyOptionsOf, SaverVariables } from "../config.ts";
import { notifier } from "./notifier.ts";
import { orderOf } from "../../shared/contracts/notification_order.ts";
import { signatureOf } from "./receivers.ts";

const DAY_MS = 24 * 3_600_000;

const keysOf = (secret: string) => SaverVariables.NOTIFY_SECRET.parse(secret)!;

/** Starts a notifier of `urls` on a channel. */
async function stage(
  urls: readonly string[],
  { engine = SQLITE, open = openTemporaryChannel, answerWithinMs, pauses = { firstMs: 20, maxMs: 40 } }: {
    engine?: Engine;
    open?: () => Channel | Promise<Channel>;
    answerWithinMs?: number;
    pauses?: { firstMs: number; maxMs: number };
  } = {},
) {
  const temp = await storeOn(engine);
  const channel = await open();
  const stop = new AbortController();
  const settled: { kind: string; reason: string | undefined }[] = [];
  const waiting: { until: () => boolean; resolve: () => void }[] = [];
  const { receivers, keys } = notifyOptionsOf({ NOTIFY_URL: [...urls], NOTIFY_SECRET: keysOf(SECRET) });
  const running = runActor(
    notifier({ store: temp.store, receivers, keys, answerWithinMs, pauses }),
    channel,
    {
      signal: stop.signal,
      onSettled: (kind, reason) => {
        settled.push({ kind, reason });
        for (const { until, resolve } of waiting) if (until()) resolve();
      },
    },
  );
  return {
    channel,
    receivers,
    settled,
    rows: () => temp.store.notifications.list({ limit: 100 }),
    kinds: (kind: string) => settled.filter((one) => one.kind === kind).length,
    until: (condition: () => boolean) =>
      new Promise<void>((resolve) => condition() ? resolve() : waiting.push({ until: condition, resolve })),
    order: (key: string, at = new Date()) =>
      channel.publish({
        ...compose("channel:notify", key, orderFor(key)),
        body: JSON.stringify({ ...orderFor(key), id: key, published_at: at.toISOString() }),
      }),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
      await channel[Symbol.asyncDispose]();
      await temp[Symbol.asyncDispose]();
    },
  };
}

function orderFor(key: string) {
  return orderOf({
    type: "run.failed",
    key,
    at: "2026-11-24T03:00:00.000Z",
    pipeline: "users",
    says: `Run ${key} failed: <!channel> & more`,
    whatToDo: "Start it again.",
    data: { run: 7 },
  }, "https://etl.example.com/");
}

async function assertSentOnce(engine: Engine, open: () => Channel | Promise<Channel>): Promise<void> {
  await using first = startReceiver();
  await using second = startReceiver();
  await using s = await stage([first.url, second.url], { engine, open });
  await s.order("a");
  await s.order("a"); // a repeated order sends no second notification
  await s.until(() => s.kinds("done") === 3);
  for (const { received, complaints } of [first, second]) {
    assert.deepEqual(complaints, []);
    assert.equal(received.length, 1);
    assert.deepEqual(received[0]!.body, orderFor("a").notification);
    assert.equal(received[0]!.headers["content-type"], "application/json");
  }
  assert.equal(first.received[0]!.id, second.received[0]!.id, "one id an event");
  assert.deepEqual(
    (await s.rows()).map(({ state, attempts, result, host }) => ({ state, attempts, result, host })),
    [second, first].map(({ host }) => ({ state: "SENT", attempts: 1, result: "HTTP 204", host })),
  );
}

onEachEngine("each receiver gets a notification once, with a valid signature", async (engine) => {
  if (channelBeside(engine) === "embedded") return await assertSentOnce(engine, openTemporaryChannel);
  await using server = await startRedis();
  await assertSentOnce(engine, () => openChannel({ redisUrl: server.url, queuePath: "" }));
}, "redis-server");

Deno.test("a text can't mention people or create links in a chat, and links to the dashboard", () => {
  const { notification: { text, data } } = orderFor("a");
  assert.equal(
    text,
    "[users] Run a failed: &lt;!channel&gt; &amp; more\nStart it again.\nhttps://etl.example.com/",
  );
  assert.deepEqual(data, {
    pipeline: "users",
    run: 7,
    says: "Run a failed: <!channel> & more",
    what_to_do: "Start it again.",
    link: "https://etl.example.com/",
  });
});

Deno.test("while a secret is changed, receivers with the old or the new one accept the signature", () => {
  const [before, after] = ["the key of the month before last", "the key of this month, a longer one"]
    .map((text) => `whsec_${btoa(text)}`);
  const message = { id: "msg_1", body: '{"type":"test"}', now: Date.now() };
  const headers = signatureOf(keysOf(`${after}  ${before}`), message);
  for (const secret of [before!, after!]) {
    assert.deepEqual(new Webhook(secret).verify(message.body, headers), { type: "test" });
  }
  assert.throws(() =>
    new Webhook(`whsec_${btoa("somebody else's key, as long")}`).verify(message.body, headers)
  );
  assert.throws(() => new Webhook(before!).verify(message.body + " ", headers));
});

onEachEngine(
  "a failing receiver is retried until it recovers, under the same id, and delays no other one",
  async (engine) => {
    await using failing = startReceiver((times) => new Response(null, { status: times <= 3 ? 500 : 200 }));
    await using healthy = startReceiver();
    await using s = await stage([failing.url, healthy.url], { engine });
    await s.order("a");
    await healthy.times(1);
    await s.until(() => s.kinds("done") === 3);
    assert.deepEqual(failing.received.map(({ id }) => id), Array(4).fill(failing.received[0]!.id));
    assert.deepEqual(new Set(failing.received.map(({ text }) => text)).size, 1, "the same bytes each time");
    const row = (await s.rows()).find(({ host }) => host === failing.host)!;
    assert.deepEqual([row.state, row.attempts, row.result], ["SENT", 4, "HTTP 200"]);
  },
);

Deno.test("notifications that wait for a failing receiver use no connection", async () => {
  await using failing = startReceiver(() => new Response(null, { status: 503 }));
  await using s = await stage([failing.url], { pauses: { firstMs: 2_000, maxMs: 2_000 } });
  for (const key of "abcdefghij") await s.order(key);
  await s.until(() => s.kinds("busy") >= 9);
  assert.equal(failing.received.length, 1);
  failing.answer = () => new Response(null, { status: 200 });
  await s.until(() => s.kinds("done") === 20);
  assert.deepEqual(new Set((await s.rows()).map(({ state }) => state)), new Set(["SENT"]));
});

Deno.test("a notification that a receiver always refuses blocks no other one", async () => {
  const bad = orderFor("bad").webhook_id;
  await using picky: TestReceiver = startReceiver(() =>
    new Response(null, { status: picky.received.at(-1)!.id === bad ? 500 : 204 })
  );
  await using s = await stage([picky.url]);
  for (const key of ["bad", "a", "b", "c", "d"]) await s.order(key);
  await s.until(() => s.kinds("done") === 5 + 4); // the orders for all receivers, and those for one receiver
  assert.equal((await s.rows()).find(({ webhook_id }) => webhook_id === bad)!.state, "WAITING");
});

onEachEngine("500 for a week becomes a dead letter, and its replay tries again", async (engine) => {
  await using failing = startReceiver(() => new Response(null, { status: 500 }));
  await using s = await stage([failing.url], { engine });
  const key = s.receivers[0]!.key;
  const { webhook_id, ...rest } = orderFor("a");
  const published_at = new Date(Date.now() - 7 * DAY_MS + 500).toISOString();
  const receiver = { host: failing.host, key };
  const body = JSON.stringify({ ...rest, webhook_id, receiver, id: "one", published_at });
  await s.channel.publish({ to: "channel:notify", id: "one", body });
  await s.until(() => s.kinds("never") === 1);
  assert.ok(s.kinds("again") >= 1, "it was tried before the week was over");
  const mailbox = s.channel.mailbox("channel:notify");
  const [letter] = await mailbox.dead({ limit: 1 });
  assert.match(letter!.reason, /HTTP 500\. It was retried for a week\./);
  assert.doesNotMatch(JSON.stringify(letter), new RegExp(`${HIDDEN_PATH}|${HIDDEN_QUERY}|whsec_`));
  failing.answer = () => new Response(null, { status: 204 });
  assert.ok(await mailbox.replay("one"));
  await s.until(() => s.kinds("done") === 1);
  assert.equal(failing.received.at(-1)!.id, webhook_id);
});

/** What a receiver answers, and the outcome of its notification. */
const BAD: [name: string, answer: TestReceiver["answer"], outcome: string, reason: RegExp][] = [
  ["is gone for good", () => new Response(null, { status: 410 }), "never", /HTTP 410, it no longer accepts/],
  [
    "redirects",
    () => new Response(null, { status: 307, headers: { location: "http://127.0.0.1:1/other" } }),
    "again",
    /HTTP 307, a redirect, which isn't followed/,
  ],
  ["refuses", () => new Response("bad signature", { status: 401 }), "again", /HTTP 401/],
  ["is busy", () => new Response(null, { status: 429 }), "again", /HTTP 429/],
];
for (const [name, answer, outcome, reason] of BAD) {
  Deno.test(`a receiver that ${name}: ${outcome === "never" ? "a dead letter at once" : "another try"}`, async () => {
    await using bad = startReceiver(answer);
    await using s = await stage([bad.url]);
    await s.order("a");
    await s.until(() => s.kinds(outcome) >= 1);
    const row = (await s.rows())[0]!;
    assert.match(row.result!, reason);
    assert.equal(row.state, outcome === "never" ? "FAILED" : "WAITING");
    assert.doesNotMatch(JSON.stringify([row, s.settled]), new RegExp(`${HIDDEN_PATH}|${HIDDEN_QUERY}`));
  });
}

const encode = (text: string) => new TextEncoder().encode(text);
async function readRequest(connection: Deno.Conn): Promise<void> {
  await connection.read(new Uint8Array(65_536));
}
/** How a connection fails, and the reason that is recorded. */
const TALKERS: [name: string, talk: (connection: Deno.Conn) => Promise<void>, reason: RegExp][] = [
  ["says nothing", async (connection) => {
    while (await connection.read(new Uint8Array(65_536)) !== null);
  }, /no answer within 0\.3 s/],
  ["sends headers without end", async (connection) => {
    await readRequest(connection);
    await connection.write(encode("HTTP/1.1 200 OK\r\n"));
    for (let i = 0;; i++) await connection.write(encode(`x-${i}: ${"y".repeat(1_000)}\r\n`));
  }, /Cannot notify/],
  ["sends interim answers without end", async (connection) => {
    await readRequest(connection);
    for (;;) await connection.write(encode("HTTP/1.1 102 Processing\r\n\r\n"));
  }, /Cannot notify/],
  ["resets the connection", async (connection) => {
    await connection.read(new Uint8Array(10));
  }, /Cannot notify 127\.0\.0\.1:\d+: /],
  ["speaks no HTTP", async (connection) => {
    await readRequest(connection);
    await connection.write(encode("+PONG\r\n"));
  }, /Cannot notify 127\.0\.0\.1:\d+: /],
];
for (const [name, talk, reason] of TALKERS) {
  Deno.test(`a receiver that ${name} costs a bounded time, and is retried`, async () => {
    await using talker = startTalker(talk);
    await using s = await stage([talker.url], { answerWithinMs: 300 });
    const started = performance.now();
    await s.order("a");
    await s.until(() => s.kinds("again") >= 1);
    assert.ok(performance.now() - started < 5_000);
    const row = (await s.rows())[0]!;
    assert.match(row.result!, reason);
    assert.doesNotMatch(JSON.stringify([row, s.settled]), new RegExp(`${HIDDEN_PATH}|${HIDDEN_QUERY}`));
  });
}

Deno.test("a receiver that accepts and then sends endless data has accepted; the data isn't read", async () => {
  let written = 0;
  await using talker = startTalker(async (connection) => {
    await readRequest(connection);
    await connection.write(encode("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"));
    const piece = new Uint8Array(65_536);
    for (;;) written += await connection.write(piece);
  });
  await using s = await stage([talker.url]);
  await s.order("a");
  await s.until(() => s.kinds("done") === 2);
  assert.equal((await s.rows())[0]!.state, "SENT");
  assert.equal(talker.connections, 1);
  assert.ok(written < 16 * 1024 ** 2, `${written} bytes were taken`);
});

onEachEngine(
  "a notification for a receiver removed from the configuration ends as failed, with the reason",
  async (engine) => {
    await using s = await stage([], { engine });
    const receiver = { host: "gone.example.com", key: "0123456789abcdef" };
    await s.channel.publish(compose("channel:notify", "a", { ...orderFor("a"), receiver }));
    await s.order("b"); // there is no receiver
    await s.until(() => s.kinds("done") === 2);
    assert.deepEqual(await s.rows(), []);
  },
);
