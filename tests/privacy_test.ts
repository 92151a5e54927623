/**
 * Checks that no log line contains personal data or secrets, whatever happens.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Users } from "../local/source/users.ts";
import { status, withFaults } from "./support/faulty_source.ts";
import { startPipeline, type TestPipeline, type TestPipelineOptions } from "./support/test_pipeline.ts";
import { compose } from "../shared/actor/message.ts";
import { newRunId } from "../shared/contracts/ids.ts";
import { needing } from "./support/needs.ts";

const test = needing("redis-server", "sshd");

const USERS = 120;
const BAD = 0.3;
const SECRETS = {
  SFTP_KEY_PASSPHRASE: "correct-horse-battery",
  "Redis password": "tr0ub4dor-and-3",
  API_TOKEN: "s3same-open-the-gate",
};

/**
 * Returns the values that logs must not contain, by field. Leaves out short values, such as an age, which
 * occur everywhere.
 */
function personal(): Map<string, string> {
  const users = new Users(0, 1);
  const found = new Map<string, string>();
  for (let i = 0; i < USERS; i++) {
    const user = JSON.parse(users.json(i));
    const { email, phone, password, birthDate, ip, macAddress, ssn, ein, address, bank, crypto } = user;
    const values = { email, phone, password, birthDate, ip, macAddress, ssn, ein };
    const nested = {
      address: address.address,
      cardNumber: bank.cardNumber,
      iban: bank.iban,
      wallet: crypto.wallet,
    };
    for (const [name, value] of Object.entries({ ...values, ...nested })) {
      found.set(value, `${name} of user ${i + 1}`);
    }
  }
  return found;
}

function assertSilent(pipeline: TestPipeline): void {
  const lines = pipeline.logs();
  assert.ok(lines.length > 20, "there are log lines");
  const logged = lines.map(({ part, text }) => `${part}: ${text}`).join("\n");
  for (const [value, name] of personal()) {
    assert.ok(!logged.includes(value), `the ${name} stands in a log line`);
  }
  for (const [name, value] of Object.entries(SECRETS)) {
    assert.ok(!logged.includes(value), `${name} stands in a log line`);
  }
  assert.doesNotMatch(logged, /BEGIN [A-Z ]*PRIVATE KEY/);
}

const open = (options: TestPipelineOptions = {}) =>
  startPipeline({
    users: USERS,
    bad: BAD,
    passphrase: SECRETS.SFTP_KEY_PASSPHRASE,
    redisPassword: SECRETS["Redis password"],
    ...options,
    env: { LOG_LEVEL: "trace", API_TOKEN: SECRETS.API_TOKEN, ...options.env },
  });

Deno.test("a check for personal data would find it", () => {
  assert.equal(personal().size > USERS * 11, true);
  assert.match([...personal().values()].join(), /password of user 1,|iban of user 120/);
});

test("a completed run logs no personal data and no secret", async () => {
  await using pipeline = await open({ channel: "redis", sftp: "openssh" });
  await pipeline.start("extractor", "transformer", "saver", "api");
  const run = await pipeline.completed(await pipeline.tell());
  assert.equal(run.invalid_count, 36);
  for (const service of ["extractor", "transformer", "saver", "api"]) await pipeline.stop(service);
  assertSilent(pipeline);
});

Deno.test("the progress of a run in the foreground shows no personal data and no secret", async () => {
  await using pipeline = await open();
  const { code, stderr } = await pipeline.task("run");
  assert.equal(code, 0, stderr);
  const { code: demo } = await pipeline.task(
    "demo",
    "--once",
    "--users",
    String(USERS),
    "--bad",
    String(BAD),
  );
  assert.equal(demo, 0);
  assertSilent(pipeline);
});

test("failures log no personal data and no secret", async () => {
  const users = new Users(0, 1);
  const page = `{"users":[${users.json(0)},${users.json(1)}`;
  const broken = () => new Response(page, { headers: { "content-type": "application/json" } });
  const wordy = () => new Response(page, { status: 400 });
  const faults = [broken, wordy, status(503), undefined];
  const wrap = withFaults(({ nth }) => faults[Math.min(nth, faults.length) - 1]);
  await using pipeline = await open({ channel: "redis", sftp: "openssh", wrap, env: { MAX_RETRIES: "0" } });
  await pipeline.site!.stop();
  await pipeline.start("extractor", "transformer", "saver");
  for (const _ of faults.slice(1)) {
    await pipeline.until("a failed run", async () => (await pipeline.ask()).at(-1)?.type === "run_failed");
  }
  const pending = await pipeline.tell();
  await pipeline.status("DELIVERY_PENDING", pending);

  // Files and messages with forbidden values.
  const file = "data/raw_users/records_20261124_030007.jsonl";
  const lines = [
    page,
    users.json(2),
    users.json(3).slice(0, -40),
    `${users.json(4)}\u0000`,
    "",
    `[${users.json(5)}]`,
  ];
  await Deno.writeTextFile(`${pipeline.folder}/${file}`, lines.join("\n"));
  const runId = newRunId();
  await pipeline.channel.publish(
    compose("channel:phase1_complete", "odd", { run_id: runId, raw_file: file }),
    { to: "channel:phase1_complete", id: "no json", body: page },
    { to: "channel:phase1_complete", id: "no message", body: users.json(6) },
    { to: "channel:phase2_complete", id: "no message either", body: users.json(7) },
    compose("channel:phase1_complete", "miscounted", {
      run_id: newRunId(),
      raw_file: file,
      record_count: 99,
    }),
  );
  await pipeline.until(
    "the dead letters",
    async () =>
      (await pipeline.channel.mailbox("channel:phase1_complete").state()).dead === 3 &&
      (await pipeline.channel.mailbox("channel:phase2_complete").state()).dead === 1,
  );
  await pipeline.site!.start();
  await pipeline.completed(pending);
  await pipeline.completed(runId);

  // A channel that goes down, and a key that can't be opened.
  await pipeline.redis!.stop();
  await pipeline.logged(/no connection to Redis/);
  await pipeline.redis!.start();
  await pipeline.completed(await pipeline.tell());
  await pipeline.stop("saver");
  pipeline.env.SFTP_KEY_PASSPHRASE = `${SECRETS.SFTP_KEY_PASSPHRASE}-not`;
  await pipeline.start("saver");
  const refused = await pipeline.ask();
  assert.equal(refused.at(-1)?.type, "run_failed");
  assertSilent(pipeline);
});

Deno.test("unusable configuration is reported without its secrets", async () => {
  await using pipeline = await open();
  Object.assign(pipeline.env, {
    REDIS_URL: `http://:${SECRETS["Redis password"]}@redis`,
    API_TOKEN: "s3same",
    BATCH_SIZE: "0",
  });
  for (const task of ["run", "extractor", "api", "doctor"]) {
    const { stderr, stdout } = await pipeline.task(task);
    assert.doesNotMatch(stdout + stderr, /s3same/);
    assert.match(stdout + stderr, /REDIS_URL/);
  }
  pipeline.env.REDIS_URL = `redis://:${SECRETS["Redis password"]}@127.0.0.1:1`;
  await pipeline.task("doctor");
  assertSilent(pipeline);
});
