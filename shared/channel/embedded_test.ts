import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { BOX, depths, message, take } from "../../tests/conformance/channel_tools.ts";
import { PermanentError, TransientError } from "../errors/errors.ts";
import { REMEMBER_MS } from "./channel.ts";
import { openEmbeddedChannel } from "./embedded.ts";
import { Commits } from "./embedded_commits.ts";

/** Creates a folder that is removed when it is disposed of. */
async function makeFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "queue-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Runs SQL on a database as another program would. */
function change(path: string, sql: string): void {
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
}

/** Asserts that opening `path` fails permanently and doesn't change the file. */
async function assertRefused(path: string, why: RegExp): Promise<void> {
  const before = await Deno.readFile(path);
  await assert.rejects(openEmbeddedChannel(path), (error: Error) => {
    assert.ok(error instanceof PermanentError, String(error));
    assert.match(error.message, why);
    assert.ok(error.message.includes(path) && error.message.includes("QUEUE_PATH"));
    return true;
  });
  assert.deepEqual(await Deno.readFile(path), before);
}

Deno.test("a file that isn't a database is refused and left unchanged", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/queue.db`;
  await Deno.writeTextFile(path, "id,name\n1,not a database\n".repeat(200));
  await assertRefused(path, /is not a database/);
});

Deno.test("a database that isn't a queue is refused and left unchanged", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/data.db`;
  change(path, "CREATE TABLE etl_runs (id INTEGER); INSERT INTO etl_runs VALUES (1)");
  await assertRefused(path, /a database, but not a queue/);
});

Deno.test("a queue of a newer version is refused and left unchanged", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/queue.db`;
  await (await openEmbeddedChannel(path))[Symbol.asyncDispose]();
  change(path, "PRAGMA user_version = 2");
  await assertRefused(path, /its version is 2, and this program knows 1/);
});

Deno.test("a folder that can't be created is a permanent failure", async () => {
  await using folder = await makeFolder();
  await Deno.writeTextFile(`${folder.path}/file`, "");
  await assert.rejects(openEmbeddedChannel(`${folder.path}/file/queue.db`), PermanentError);
});

Deno.test("the folder is created, and many processes can open the new file at once", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/a/b/queue.db`;
  const channels = await Promise.all(Array.from({ length: 6 }, () => openEmbeddedChannel(path)));
  await Promise.all(channels.map((channel, i) => channel.publish(message(`m${i}`))));
  assert.deepEqual(await depths(channels[0]!, BOX), { depth: 6, dead: 0 });
  for (const channel of channels) await channel[Symbol.asyncDispose]();
});

Deno.test("a writer that keeps the file locked makes calls fail in bounded time; reading and a later try work", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/queue.db`;
  await using channel = await openEmbeddedChannel(path);
  await channel.publish(message("before"));
  const other = new DatabaseSync(path);
  other.exec("BEGIN IMMEDIATE");
  const start = performance.now();
  let ticks = 0;
  const ticking = setInterval(() => ticks += 1, 10);
  const claiming = assert.rejects(take(channel), TransientError);
  await assert.rejects(channel.publish(message("during")), (error: Error) => {
    assert.ok(error instanceof TransientError);
    assert.match(error.message, /queue\.db: another process has held its lock/);
    return true;
  });
  await claiming;
  clearInterval(ticking);
  assert.ok(performance.now() - start < 8_000);
  assert.ok(ticks > 50, "the process did other work meanwhile");
  assert.deepEqual(await depths(channel, BOX), { depth: 1, dead: 0 });
  const publishing = channel.publish(message("after"));
  other.exec("ROLLBACK");
  other.close();
  await publishing;
  assert.deepEqual([(await take(channel)).id, (await take(channel)).id], ["before", "after"]);
});

Deno.test("ids are forgotten seven days after their messages were settled, dead letters never", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/queue.db`;
  await using channel = await openEmbeddedChannel(path);
  await channel.publish(message("old"), message("recent"), message("dead"));
  await (await take(channel)).complete();
  await (await take(channel)).complete();
  await (await take(channel)).bury("bad");
  const agesAgo = Date.now() - REMEMBER_MS - 1;
  change(path, `UPDATE messages SET settled_at = ${agesAgo} WHERE id <> 'recent'`);
  await channel.publish(
    ...Array.from({ length: 100 }, (_, i) => ({ to: "channel:x", id: `${i}`, body: "" })),
  );
  await channel.publish(message("old"), message("recent"), message("dead"));
  assert.deepEqual(await depths(channel, BOX), { depth: 1, dead: 1 });
  assert.equal((await take(channel)).id, "old");
});

Deno.test("a process that publishes only once also forgets old ids, and frees their disk space", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/queue.db`;
  const body = "x".repeat(4_000);
  {
    await using channel = await openEmbeddedChannel(path);
    await channel.publish(...Array.from({ length: 2_000 }, (_, i) => message(`m${i}`, body)));
  }
  change(path, `UPDATE messages SET state = 'done', settled_at = ${Date.now() - REMEMBER_MS - 1}`);
  const { size } = await Deno.stat(path);
  for (let process = 0; process < 25; process++) {
    await using channel = await openEmbeddedChannel(path);
    await channel.publish(message(`once-${process}`));
  }
  assert.ok((await Deno.stat(path)).size < size / 3);
});

Deno.test("after the clock was set back, new messages and returned ones arrive without waiting for the old time", async () => {
  await using folder = await makeFolder();
  await using channel = await openEmbeddedChannel(`${folder.path}/queue.db`);
  const clock = Date.now;
  try {
    Date.now = () => clock() + 3_600_000;
    await channel.publish(message("new"), message("handed back"));
    await (await take(channel)).complete();
    await (await take(channel)).retry(1_000, "the source is away");
    await channel.publish(message("last"));
  } finally {
    Date.now = clock;
  }
  assert.deepEqual([(await take(channel)).id, (await take(channel)).id], ["handed back", "last"]);
});

Deno.test("a lock held longer than a call waits doesn't fail a first start", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/queue.db`;
  using other = new DatabaseSync(path);
  other.exec("BEGIN EXCLUSIVE");
  const callWaitMs = 100;
  const opening = openEmbeddedChannel(path, callWaitMs);
  await new Promise((resolve) => setTimeout(resolve, 3 * callWaitMs));
  other.exec("ROLLBACK");
  await using channel = await opening;
  await channel.publish(message("m"));
  assert.equal((await take(channel)).id, "m");
});

Deno.test("a watch keeps its position when old messages are forgotten", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/queue.db`;
  await using channel = await openEmbeddedChannel(path);
  await channel.publish(message("1"));
  await (await take(channel)).complete();
  const end = new AbortController();
  const bodies = await channel.watch(BOX, end.signal);
  change(path, "DELETE FROM messages");
  await channel.publish(message("2", "second"));
  for await (const body of bodies) {
    assert.equal(body, "second");
    end.abort();
  }
});

Deno.test("waiters poll if the system doesn't report file changes", async () => {
  await using commits = new Commits("/nowhere/queue.db", () => 1);
  const start = performance.now();
  await commits.wait(commits.rings, 10_000, new AbortController().signal);
  assert.ok(performance.now() - start < 5_000);
});

Deno.test("commits of other processes and own ones each ring once; beats and claims wake nobody", async () => {
  await using folder = await makeFolder();
  const path = `${folder.path}/queue.db`;
  await using channel = await openEmbeddedChannel(path);
  using db = new DatabaseSync(path);
  let looked = Promise.withResolvers<void>();
  await using commits = new Commits(path, () => {
    looked.resolve();
    return db.prepare("PRAGMA data_version").get()?.data_version;
  });
  const { signal } = new AbortController();
  const nextNews = () => commits.wait(commits.rings, 60_000, signal);

  const published = nextNews();
  await channel.publish(message("m"));
  await published;
  await channel.beat({
    actor: "a",
    instance: "i",
    host: "h",
    pid: 1,
    mailbox: BOX,
    state: "idle",
    handled: 0,
    failed: 0,
    startedAt: 0,
    at: Date.now(),
  });
  const claim = await take(channel);
  const completed = nextNews();
  await claim.complete();
  await completed;
  assert.equal(commits.rings, 2);

  looked = Promise.withResolvers();
  commits.ring();
  await looked.promise;
  assert.equal(commits.rings, 3);
});
