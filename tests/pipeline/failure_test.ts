import assert from "node:assert/strict";
import { ensureKeys } from "../../local/sftp/keys.ts";
import { status, withFaults } from "../support/faulty_source.ts";
import { freePort } from "../support/free_port.ts";
import { startPipeline, type TestPipeline } from "../support/test_pipeline.ts";
import { onEachEngine } from "../support/engines.ts";
import { needing } from "../support/needs.ts";

const test = needing("sshd");

/** Asserts that a run fails as expected, and that a run after `repair` completes. */
async function failsThenWorks(
  pipeline: TestPipeline,
  says: RegExp,
  repair: () => Promise<void>,
): Promise<void> {
  const failed = await pipeline.task("run");
  assert.equal(failed.code, 1, failed.stdout + failed.stderr);
  assert.match(failed.stderr, says);
  await repair();
  const worked = await pipeline.task("run");
  assert.equal(worked.code, 0, worked.stdout + worked.stderr);
  assert.match(worked.stdout, /COMPLETED: 208 valid, 0 invalid, 0 UNKNOWN/);
}

Deno.test("a key that the SFTP server doesn't know: the run is loaded, and the error says what to do", async () => {
  await using pipeline = await startPipeline();
  const keys = `${pipeline.folder}/ssh_keys`;
  await Deno.rename(`${keys}/id_rsa`, `${keys}/right`);
  await ensureKeys(`${keys}/other`, { type: "ed25519" });
  await Deno.copyFile(`${keys}/other/id_rsa`, `${keys}/id_rsa`);
  await failsThenWorks(pipeline, /deliver.*authorized_keys|refuse.*key.*"ssh_keys\/id_rsa"/s, async () => {
    assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 208, invalid_users: 0 });
    assert.deepEqual(await pipeline.remoteFiles(), []);
    await Deno.rename(`${keys}/right`, `${keys}/id_rsa`);
  });
  assert.deepEqual(pipeline.runs().map((run) => run.delivery_state), ["DELIVERED", "FAILED"]);
});

test("a host key that isn't the known one: nothing is sent, and the error says what to do", async () => {
  await using pipeline = await startPipeline({ sftp: "openssh" });
  const file = `${pipeline.folder}/ssh_keys/known_hosts`;
  const right = await Deno.readTextFile(file);
  const { publicKey } = await ensureKeys(`${pipeline.folder}/ssh_keys/other`, { type: "ed25519" });
  const [host] = right.split(" ");
  await Deno.writeTextFile(file, `${host} ${(await Deno.readTextFile(publicKey)).trim()}\n`);
  await failsThenWorks(
    pipeline,
    /Cannot trust the SFTP server .* If the operator confirms the new key/s,
    async () => {
      assert.equal(pipeline.tables().processed_users, 208);
      assert.deepEqual(await pipeline.remoteFiles(), []);
      await Deno.writeTextFile(file, right);
    },
  );
});

Deno.test("a source that fails in the middle: the next request resumes there, in the same run and file", async () => {
  let down = true;
  const requested: number[] = [];
  const wrap = withFaults(({ skip }) => {
    requested.push(skip);
    return down && skip === 100 ? status(503) : undefined;
  });
  await using pipeline = await startPipeline({ wrap, env: { MAX_RETRIES: "2" } });
  await failsThenWorks(pipeline, /The run failed: .*503.*/, () => {
    down = false;
    return Promise.resolve();
  });
  assert.deepEqual(requested.filter((skip) => skip === 0), [0]);
  assert.equal(requested.filter((skip) => skip === 100).length, 4);
  const [resumed] = pipeline.runs().filter((run) => run.status === "COMPLETED");
  assert.equal(pipeline.runs().find((run) => run.superseded_by !== null)?.superseded_by, resumed!.run_id);
  assert.deepEqual(pipeline.tables(), { raw_users: 208, processed_users: 208, invalid_users: 0 });
  assert.equal((await pipeline.dataFiles()).length, 3);
});

Deno.test("an unreachable source: the error names it and says what to do", async () => {
  await using pipeline = await startPipeline({ env: { MAX_RETRIES: "1" } });
  const right = pipeline.env.API_BASE_URL;
  const port = freePort();
  pipeline.env.API_BASE_URL = `http://127.0.0.1:${port}/users`;
  await failsThenWorks(pipeline, new RegExp(`The run failed: Cannot .*127\\.0\\.0\\.1:${port}/users`), () => {
    pipeline.env.API_BASE_URL = right;
    return Promise.resolve();
  });
});

for (const folder of ["raw_users", "processed_users"]) {
  Deno.test(`a folder of ${folder} that can't be written: the error names it, and nothing is lost`, async () => {
    await using pipeline = await startPipeline();
    const path = `${pipeline.folder}/data/${folder}`;
    await Deno.mkdir(`${pipeline.folder}/data`);
    await Deno.writeTextFile(path, "a file where a folder should be"); // unlike a mode, this stops the superuser too
    await failsThenWorks(
      pipeline,
      new RegExp(`The run failed: Cannot (write|look at) data/${folder}/.*Move it away`),
      () => Deno.remove(path),
    );
  });
}

Deno.test("a database that can't be opened fails the start, with what to do", async () => {
  await using pipeline = await startPipeline();
  await Deno.mkdir(`${pipeline.folder}/database/data.db`, { recursive: true });
  const { code, stderr } = await pipeline.task("run");
  assert.equal(code, 1);
  assert.match(stderr, /saver failed: Cannot use database\/data\.db: .* start again/);
  await Deno.remove(`${pipeline.folder}/database/data.db`);
  const worked = await pipeline.task("run");
  assert.equal(worked.code, 0, worked.stderr);
});

Deno.test("every invalid variable of all services is reported at once, and nothing is started", async () => {
  await using pipeline = await startPipeline();
  Object.assign(pipeline.env, {
    BATCH_SIZE: "0",
    SCHEDULE: "every now and then",
    API_BASE_URL: "ftp://example.com",
    SFTP_PORT: "99999",
    SFTP_VERIFY: "a bit",
    LOG_LEVEL: "loud",
    REDIS_URL: "http://user:hunter2@example.com",
  });
  for (const task of ["run", "start"]) {
    const { code, stderr } = await pipeline.task(task);
    assert.equal(code, 2, stderr);
    for (
      const name of [
        "BATCH_SIZE",
        "SCHEDULE",
        "API_BASE_URL",
        "SFTP_PORT",
        "SFTP_VERIFY",
        "LOG_LEVEL",
        "REDIS_URL",
      ]
    ) assert.equal(stderr.match(new RegExp(`- ${name} is `, "g"))?.length, 1, `${name} once in:\n${stderr}`);
    assert.match(stderr, /BATCH_SIZE is "0": wanted a whole number from 1 to 10000/);
    assert.doesNotMatch(stderr, /hunter2/);
  }
  const alone = await pipeline.task("extractor");
  assert.equal(alone.code, 2);
  assert.match(alone.stderr, /BATCH_SIZE(.|\n)*LOG_LEVEL/);
  assert.deepEqual(await pipeline.dataFiles(), []);
});

Deno.test("a misspelt variable causes a warning, and the run continues", async () => {
  await using pipeline = await startPipeline();
  Object.assign(pipeline.env, { SFTP_HSOT: "sftp.example.com" });
  const { code, stderr } = await pipeline.task("run");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /No service reads the variable SFTP_HSOT. Did you mean SFTP_HOST\?/);
});

onEachEngine(
  "while the SFTP server is unreachable runs are loaded, their delivery waits, and happens when it is back",
  async (engine) => {
    await using pipeline = await startPipeline({ engine, sftp: "openssh" });
    await pipeline.start("extractor", "transformer", "saver");
    await pipeline.site!.stop();
    const first = await pipeline.tell();
    const waiting = await pipeline.status("DELIVERY_PENDING", first);
    assert.match(waiting.delivery_error!, /SFTP server/);
    const second = await pipeline.tell();
    await pipeline.status("DELIVERY_PENDING", second);
    assert.deepEqual(pipeline.tables(), { raw_users: 416, processed_users: 416, invalid_users: 0 });

    await pipeline.site!.start();
    for (const runId of [first, second]) {
      assert.equal((await pipeline.completed(runId)).delivery_state, "DELIVERED");
    }
    assert.equal((await pipeline.remoteFiles()).length, 8);
  },
  "sshd",
);

Deno.test("a run while the SFTP server is unreachable is loaded and reports its delivery as pending; the next start delivers it", async () => {
  await using pipeline = await startPipeline();
  await pipeline.site!.stop();
  const { code, stderr } = await pipeline.task("run");
  assert.equal(code, 1);
  assert.match(stderr, /The run is loaded, its delivery is pending: Cannot/);
  assert.equal(pipeline.tables().processed_users, 208);
  await pipeline.site!.start();
  await pipeline.start("saver");
  assert.equal((await pipeline.completed()).delivery_state, "DELIVERED");
});
