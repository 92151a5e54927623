import assert from "node:assert/strict";
import { startSource } from "../local/source.ts";
import { newRunId } from "../shared/contracts/ids.ts";
import type { Phase1Complete } from "../shared/contracts/messages.ts";
import { S3Files } from "../shared/files/s3/files.ts";
import { expected } from "../tests/support/extraction.ts";
import type { Shared } from "../tests/support/extract_process.ts";
import { needing, SWIFT } from "../tests/support/needs.ts";
import { type PostgresServer, startPostgres } from "../tests/support/postgres.ts";
import { keysIn, readObject, type S3Server, startS3, uploadsIn } from "../tests/support/s3.ts";

const test = needing("postgres", ...SWIFT);
const SCRIPT = new URL("../tests/support/extract_process.ts", import.meta.url).pathname;
const USERS = 16_000; // about 18 MB: three full steps and part of a fourth
const SIZE = 200;

/** The most bytes that may be lost when a machine dies: the part being filled and the part being sent. */
const AT_MOST = 2 * 5 * 1024 * 1024;

/** The shared engines and a source. */
interface Stage extends AsyncDisposable {
  readonly postgres: PostgresServer;
  readonly s3: S3Server;
  readonly shared: Shared;
  readonly requested: number[];
  readonly request: { id: string; run_id: string; requested_by: string };
  machine(): Machine;
}

/** An extractor on another machine: an empty folder of its own, removed at the end. */
interface Machine {
  readonly process: Deno.ChildProcess;
  /** Resolves once the process has written `count` pages. */
  pages(count: number): Promise<void>;
  /** The last message of the process. */
  readonly end: Promise<{ done?: Phase1Complete; failed?: { name: string; message: string } }>;
}

async function stage(leaseMs: number): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await startPostgres());
  const s3 = stack.use(await startS3());
  const requested: number[] = [];
  const source = await startSource({
    users: USERS,
    wrap: (answer) => (request) => {
      requested.push(Number(new URL(request.url).searchParams.get("skip")));
      return answer(request);
    },
  });
  stack.defer(() => source.close());
  const shared = { bucket: await s3.bucket(), database: await postgres.createDatabase(), leaseMs };
  const request = { id: "request", run_id: newRunId(), requested_by: "test" };
  const all = stack.move();
  return {
    postgres,
    s3,
    shared,
    requested,
    request,
    machine: () => machine(source.url, request, shared),
    [Symbol.asyncDispose]: () => all[Symbol.asyncDispose](),
  };
}

function machine(url: string, request: unknown, shared: Shared): Machine {
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-net=127.0.0.1,localhost", "--allow-sys=hostname,statfs"],
      "--allow-env=PGAPPNAME,PGTARGETSESSIONATTRS,PGTARGET_SESSION_ATTRS",
      ...[SCRIPT, url, String(SIZE), JSON.stringify(request), JSON.stringify(shared)],
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const waiting: [pages: number, PromiseWithResolvers<void>][] = [];
  const end = (async () => {
    let answer = {};
    let pages = 0;
    let rest = "";
    for await (const chunk of process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const [, word, text] = /^(\w+) (.*)$/.exec(line)!;
        if (word === "page") pages += 1;
        else answer = { [word!]: JSON.parse(text!) };
      }
      for (const [count, { resolve }] of waiting) if (pages >= count) resolve();
    }
    for (const [count, { reject }] of waiting) reject(new Error(`It ended before page ${count}.`));
    await process.status;
    return answer;
  })();
  return {
    process,
    end,
    async pages(count) {
      const reached = Promise.withResolvers<void>();
      waiting.push([count, reached]);
      await reached.promise;
    },
  };
}

/**
 * Asserts that the file equals that of an uninterrupted run, that there is no other file, and that the
 * checkpoint says that the run is finished.
 */
async function assertWhole({ shared, postgres, request }: Stage, done: Phase1Complete) {
  assert.equal(done.run_id, request.run_id);
  assert.equal(done.record_count, USERS);
  const text = await readObject(shared.bucket, `etl/${done.raw_file}`);
  assert.ok(text === await expected({ users: USERS }), "the file is that of an undisturbed run");
  const { sha256 } = await new S3Files(shared.bucket).facts(done.raw_file);
  assert.equal(sha256, done.raw_sha256);
  const named = (await keysIn(shared.bucket)).filter((key) => !key.includes(".part/"));
  assert.deepEqual(named, [`etl/${done.raw_file}`]);
  const database = new URL(shared.database).pathname.slice(1);
  const state = await postgres.psql(
    "SELECT body FROM extractor_state WHERE name = 'extractor_state.json'",
    database,
  );
  const { current, completed } = JSON.parse(state);
  assert.equal(current, null);
  assert.deepEqual(completed.map(({ run_id }: { run_id: string }) => run_id), [request.run_id]);
}

test("the run of a machine that dies midway is taken over by another, which requests again at most what wasn't safe in the store", async () => {
  await using all = await stage(2_000);
  const died = all.machine();
  await died.pages(65);
  died.process.kill("SIGKILL");
  await died.end;
  const before = new Set(all.requested);
  const beforeCount = all.requested.length;
  const { done } = await all.machine().end;
  await assertWhole(all, done!);
  const again = all.requested.slice(beforeCount).filter((skip) => before.has(skip));
  const bytesOfPage = (await readObject(all.shared.bucket, `etl/${done!.raw_file}`)).length / USERS * SIZE;
  assert.ok(
    again.length * bytesOfPage <= AT_MOST + 6 * bytesOfPage,
    `${again.length} pages of ${bytesOfPage} bytes`,
  );
  assert.ok(!all.requested.slice(beforeCount).includes(0), "it isn't read from its beginning");
  assert.deepEqual(await uploadsIn(all.shared.bucket), [`etl/${done!.raw_file}`]); // the upload of the machine that died; removed after a day
  const repeated = await all.machine().end;
  assert.equal(repeated.done?.id, done?.id);
});

test("a machine that was suspended until another took over can change neither the checkpoint nor the file", async () => {
  await using all = await stage(1_000);
  const frozen = all.machine();
  await frozen.pages(65);
  frozen.process.kill("SIGSTOP");
  const { done } = await all.machine().end;
  await assertWhole(all, done!);
  frozen.process.kill("SIGCONT");
  const { failed } = await frozen.end;
  assert.equal(failed?.name, "TransientError");
  assert.match(failed!.message, /another process has/);
  await assertWhole(all, done!);
});
