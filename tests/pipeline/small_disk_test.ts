/**
 * The database and the queue on a disk that is full, or fails, at every point of their writes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { statfs } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { openEmbeddedChannel } from "../../shared/channel/embedded.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { NoSpace, TransientError } from "../../shared/errors/errors.ts";
import { openSqlite } from "../../shared/store/sqlite/open.ts";
import { take } from "../conformance/channel_tools.ts";
import { usersTables } from "../support/store.ts";
import { smallDisk } from "../support/tmpfs.ts";
import { fillDatabase, fillQueue, MESSAGES, RECORDS } from "../support/writing_process.ts";

const KB = 1_000, MB = 1_000_000;

async function free(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/**
 * Waits until more than `bytes` are free: a process that another test starts inherits open files for a moment, so that
 * the space of a removed file is freed only when that process has begun its own program.
 */
async function untilFree(path: string, bytes: number, about: string): Promise<void> {
  for (let tries = 0, left = 0; (left = await free(path)) <= bytes; tries++) {
    assert.ok(tries < 500, `${about}, ${left} of 8 MB are without the filler`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Mounts a disk of `bytes` over a new folder; returns undefined if this process can't mount. */
async function mountedDisk(bytes: number) {
  await using owned = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "full-" });
  owned.defer(() => Deno.remove(folder, { recursive: true }));
  const disk = await smallDisk(folder, bytes);
  if (disk === undefined) return undefined;
  owned.use(disk);
  const all = owned.move();
  return { folder, disk, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** Opens a SQLite file and asserts that it is undamaged. */
function checked(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  assert.deepEqual({ ...database.prepare("PRAGMA quick_check").get() }, { quick_check: "ok" });
  return database;
}

function countIn(path: string, table: string): number {
  using database = checked(path);
  if (database.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?").get(table) === undefined) return 0;
  return (database.prepare(`SELECT count(*) AS count FROM ${table}`).get() as { count: number }).count;
}

async function waitingIn(folder: string): Promise<number> {
  await using channel = await openEmbeddedChannel(`${folder}/queue.db`);
  return (await channel.mailbox("channel:start_run").state()).depth;
}

Deno.test("wherever the disk ends, a load leaves nothing of its file, frees its space, and completes once there is room", async () => {
  await using mounted = await mountedDisk(8 * MB);
  if (mounted === undefined) return; // this process can't mount
  const { folder, disk } = mounted;
  let refused = 0;
  for (let spare = 0; spare < 4 * MB; spare += 400 * KB) {
    await disk.fill(spare);
    await fillDatabase(folder).catch((error) => {
      assert.ok(error instanceof TransientError, `${spare} bytes free: ${error}`);
      refused += 1;
    });
    await disk.free();
    const isLoaded = countIn(`${folder}/data.db`, "run_files") === 1;
    if (!isLoaded) await untilFree(folder, 7 * MB, `${spare} bytes were free`);
    await fillDatabase(folder);
    assert.equal(countIn(`${folder}/data.db`, "raw_records"), RECORDS);
    for (const suffix of ["", "-wal", "-shm"]) {
      await Deno.remove(`${folder}/data.db${suffix}`).catch(() => {});
    }
  }
  assert.ok(refused >= 4, `${refused} loads met the end of the disk`);
});

Deno.test("space freed on a full disk is used by the database's existing log, not by a larger log", async () => {
  await using mounted = await mountedDisk(8 * MB);
  if (mounted === undefined) return; // this process can't mount
  const { folder, disk } = mounted;
  await using store = await openSqlite(`${folder}/data.db`, { pipelines: usersTables([]) });
  await store.tidy();
  await disk.fill(3 * MB);
  let recorded = 0;
  const recordUntilFull = async (most: number) => {
    for (let i = 0; i < most; i++, recorded++) {
      const at = {
        id: `event-${recorded}`,
        published_at: new Date(recorded).toISOString(),
        run_id: newRunId(),
      };
      try {
        await store.record([{ ...at, actor: "api", type: "run_requested", requested_by: "x".repeat(1_000) }]);
      } catch (error) {
        assert.ok(error instanceof NoSpace, `${error}`);
        return;
      }
    }
  };
  await recordUntilFull(1_000);
  const before = recorded;
  await disk.free();
  await disk.fill(MB);
  await recordUntilFull(1_000);
  assert.ok(recorded - before > before / 2, `${before} events filled 3 MB, ${recorded - before} the rest`);
  assert.equal(await store.runs.count(), recorded);
});

Deno.test("wherever the disk ends, the queue keeps accepted messages and takes the others once there is room", async () => {
  await using mounted = await mountedDisk(16 * MB);
  if (mounted === undefined) return; // this process can't mount
  const { folder, disk } = mounted;
  let refused = 0;
  for (let spare = 0; spare < MB; spare += 100 * KB) {
    await disk.fill(spare);
    let accepted = 0;
    await fillQueue(folder, (messages) => accepted = messages).catch((error) => {
      assert.ok(error instanceof TransientError, `${spare} bytes free: ${error}`);
      refused += 1;
    });
    await disk.free();
    const waiting = await waitingIn(folder);
    assert.ok(waiting === accepted || waiting === accepted + 1, `${waiting} wait, ${accepted} were accepted`);
    await fillQueue(folder, () => {});
    assert.equal(await waitingIn(folder), MESSAGES);
    checked(`${folder}/queue.db`).close();
    for (const suffix of ["", "-wal", "-shm"]) {
      await Deno.remove(`${folder}/queue.db${suffix}`).catch(() => {});
    }
  }
  assert.ok(refused >= 3, `${refused} publications met the end of the disk`);
});

Deno.test("on a full disk the queue continues in the space of deleted messages", async () => {
  await using mounted = await mountedDisk(8 * MB);
  if (mounted === undefined) return; // this process can't mount
  const { folder, disk } = mounted;
  await fillQueue(folder, () => {});
  {
    using database = checked(`${folder}/queue.db`);
    database.exec(`DELETE FROM messages WHERE seq <= ${MESSAGES / 2}`);
  }
  await using channel = await openEmbeddedChannel(`${folder}/queue.db`);
  const complete = async () => await (await take(channel, "channel:start_run")).complete();
  for (let i = 0; i < 3; i++) await complete(); // creates the log
  await disk.fill();
  for (let i = 3; i < MESSAGES / 2; i++) await complete();
  assert.equal((await channel.mailbox("channel:start_run").state()).depth, 0);
});

/**
 * Runs the writing process with a limit on file sizes of `limitKb`; writes beyond it fail with an I/O error.
 * Returns the output.
 */
async function writeWithin(
  limitKb: number,
  what: string,
  folder: string,
): Promise<[name: string, messages: number, reason: string]> {
  const program = new URL("../support/writing_process.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: [
      "-c",
      `trap "" XFSZ; ulimit -f ${limitKb}; exec "$@"`,
      "bash",
      Deno.execPath(),
      "run",
      "-A",
      "--quiet",
      program,
      what,
      folder,
    ],
  }).output();
  const text = new TextDecoder().decode(stdout).trim();
  assert.equal(code, 0, text + new TextDecoder().decode(stderr));
  const [, name, messages, reason] = /^(\S+) (\d+) ?(.*)$/s.exec(text) ?? [];
  return [name!, Number(messages), reason!];
}

Deno.test("an I/O error at any point of a load or a publication is transient, damages nothing, and loses no accepted message", async () => {
  const failed = { database: 0, queue: 0 };
  for (const limitKb of [4, 64, 200, 700, 1_200]) {
    const folder = await Deno.makeTempDir({ prefix: "failing-" });
    try {
      const [error, , reason] = await writeWithin(limitKb, "database", folder);
      if (error !== "done") {
        assert.equal(error, "TransientError", `${limitKb} KB: ${reason}`);
        failed.database += 1;
      }
      await fillDatabase(folder);
      assert.equal(countIn(`${folder}/data.db`, "raw_records"), RECORDS);

      const [queueError, accepted, queueReason] = await writeWithin(limitKb, "queue", folder);
      if (queueError !== "done") {
        assert.equal(queueError, "TransientError", `${limitKb} KB: ${queueReason}`);
        failed.queue += 1;
      }
      const waiting = await waitingIn(folder);
      assert.ok(
        waiting === accepted || waiting === accepted + 1,
        `${waiting} wait, ${accepted} were accepted`,
      );
      await fillQueue(folder, () => {});
      assert.equal(await waitingIn(folder), MESSAGES);
      checked(`${folder}/queue.db`).close();
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
  assert.ok(failed.database >= 3 && failed.queue >= 2, JSON.stringify(failed));
});
