/**
 * `deno task compose-test`: the unmodified Dockerfile and docker-compose.yml on a real Docker daemon. Only
 * the source differs: it is the sample source, in the same network. Without access to a registry, stand-ins
 * replace the base images (`tests/compose/stand_ins.ts`).
 *
 * @module
 */
import assert from "node:assert/strict";
import { installMissing, openDaemon } from "./daemon.ts";
import { provideImages } from "./images.ts";
import { CommandFailed } from "./run.ts";
import { Composed, type Container, type RunRow, serviceOf, until } from "./composed.ts";

const USERS = 2_000;
const PARTS = ["extractor", "transformer", "saver", "api"];
const TOKEN = "a-token-for-the-test-0123456789";
const PASSPHRASE = "a passphrase for the test";

Deno.test("docker-compose up completes a first run, and loses nothing, whichever service is stopped", async (test) => {
  await installMissing();
  await using daemon = await openDaemon();
  if (daemon.host !== undefined) Deno.env.set("DOCKER_HOST", daemon.host);
  await using _images = await provideImages();
  await using composed = await Composed.create(daemon.host);
  composed.env.SOURCE_USERS = `${USERS}`;
  composed.env.LEASE_SECONDS = "5";

  let failed = false;
  const step = async (name: string, fn: () => Promise<void>) => {
    failed = !await test.step({ name, fn, ignore: failed }) || failed;
  };

  await step("it starts without configuration, and each container is healthy", async () => {
    await composed.compose("up", "--detach");
    await until("all are healthy", async () => {
      const states = await composed.containers();
      const healthy = states.filter(({ State }) => State.Health?.Status === "healthy").map(serviceOf);
      return [...PARTS, "redis", "sftp"].every((service) => healthy.includes(service)) || undefined;
    });
    const [init] = await composed.containers("init");
    assert.deepEqual([init?.State.Status, init?.State.ExitCode], ["exited", 0]);
  });

  let first: RunRow;
  await step("the first run arrives without a request: database, files, manifest", async () => {
    const [row] = await until("there is a run", () => {
      const rows = composed.query<RunRow>("SELECT * FROM etl_runs");
      return rows.length > 0 ? rows : undefined;
    });
    first = await composed.runIs(row!.run_id, "COMPLETED");
    assert.equal(first.delivery_state, "DELIVERED");
    assert.equal(first.valid_count! + first.invalid_count!, USERS);
    assert.ok(first.invalid_count! > 0);
    assert.deepEqual(countsOf(composed, first), {
      raw: USERS,
      processed: first.valid_count,
      invalid: first.invalid_count,
    });
    assert.deepEqual(
      composed.delivered().map((name) => name.replace(/\d{8}_\d{6}/, "TIME")),
      ["etl_TIME.jsonl", "invalid_users_TIME.jsonl", "manifest_TIME.json", "records_TIME.jsonl"],
    );
    const manifest = JSON.parse(
      await Deno.readTextFile(`${composed.folder}/sftp_data/${composed.delivered()[2]}`),
    ) as { run_id: string };
    assert.equal(manifest.run_id, first.run_id);
  });

  await step("REST and GraphQL return it, only at the address of this machine", async () => {
    const runs = await composed.ask<Record<string, unknown>[]>("/etl_runs");
    assert.deepEqual(runs.body.map(({ id, valid_count }) => [id, valid_count]), [[1, first.valid_count]]);
    const { etlRuns } = await composed.graphql<{ etlRuns: { runId: string; status: string }[] }>(
      "{ etlRuns { runId status } }",
    );
    assert.deepEqual(etlRuns, [{ runId: first.run_id, status: "COMPLETED" }]);
    const answer = await composed.ask<{ rows: unknown }>("/query_sql", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: "SELECT count(*) AS n FROM raw_users" }),
    });
    assert.deepEqual(answer.body.rows, [{ n: USERS }]);
    const published = (await composed.containers()).flatMap(({ HostConfig }) =>
      Object.values(HostConfig.PortBindings).flat().map(({ HostIp }) => HostIp)
    );
    assert.deepEqual(published, ["127.0.0.1", "127.0.0.1"]);
  });

  await step("the server's host key is pinned, and it refuses passwords", async () => {
    const shown = await composed.run("ssh-keyscan", "-p", `${composed.sftpPort}`, "127.0.0.1");
    const keys = shown.split("\n").filter((line) => line.startsWith("[")).map((line) =>
      line.split(" ").slice(1)
    );
    const pinned = await Deno.readTextFile(`${composed.folder}/ssh_keys/known_hosts`);
    assert.equal(pinned, keys.map((key) => `sftp ${key.join(" ")}\n`).join(""));
    assert.match(
      await login(composed, "PreferredAuthentications=password,keyboard-interactive"),
      /Permission denied \(publickey\)/,
    );
  });

  await step("only the SFTP server runs as root, and nothing can write to its own image", async () => {
    for (const service of [...PARTS, "redis"]) {
      const [container] = await composed.containers(service);
      const { HostConfig } = container!;
      const processes = await composed.run("docker", "top", container!.Id, "-eo", "pid,uid,comm");
      const uids = processes.split("\n").slice(1).map((line) => line.trim().split(/\s+/)[1]);
      assert.deepEqual([...new Set(uids)], [service === "redis" ? "999" : "1000"], service);
      assert.equal(HostConfig.ReadonlyRootfs, true, service);
      await assert.rejects(
        composed.compose("exec", "-T", service, "touch", "/etc/written"),
        (error) => error instanceof CommandFailed && /Read-only file system/.test(error.output),
      );
      assert.deepEqual([HostConfig.CapDrop, HostConfig.CapAdd], [["ALL"], null], service);
    }
    for (const { HostConfig, Name } of await composed.containers()) {
      if (Name.includes("source")) continue;
      assert.deepEqual(HostConfig.CapDrop, ["ALL"], Name);
      assert.deepEqual(HostConfig.SecurityOpt, ["no-new-privileges:true"], Name);
      assert.ok(HostConfig.Memory > 0, Name);
    }
  });

  await step("three transformers share several runs", async () => {
    await composed.compose("up", "--detach", "--scale", "transformer=3");
    const copies = Array.from({ length: 9 }, (_, i) => `data/raw_users/records_20260101_00000${i}.jsonl`);
    for (const copy of copies) {
      await Deno.copyFile(`${composed.folder}/${first.raw_file}`, `${composed.folder}/${copy}`);
    }
    await until("three transformers are in the directory", async () => {
      const { actor } = await composed.graphql<{ actor: { instances: { state: string }[] } }>(
        `{ actor(name: "transformer") { instances { state } } }`,
      );
      return actor.instances.filter(({ state }) => state !== "stopped").length >= 3 ||
        undefined;
    });
    // Other programs publish messages with a single key.
    const commands = copies.map((raw_file) =>
      `redis-cli PUBLISH channel:phase1_complete '${JSON.stringify({ raw_file })}'`
    );
    await composed.compose("exec", "-T", "redis", "sh", "-c", commands.join(" && "));
    const rows = await until("all of them are completed", () => {
      const rows = composed.query<RunRow>(
        `SELECT * FROM etl_runs WHERE raw_file GLOB 'data/raw_users/records_20260101_*' AND status = 'COMPLETED'`,
      );
      return rows.length === copies.length ? rows : undefined;
    });
    for (const row of rows) {
      assert.deepEqual(countsOf(composed, row), countsOf(composed, first));
    }
    const workers = composed.query<{ host: string }>(
      `SELECT DISTINCT substr(body ->> 'instance', 1, instr(body ->> 'instance', ':') - 1) AS host FROM run_events
       WHERE type = 'phase_completed' AND phase = 'TRANSFORMING' AND run_id IN (${
        rows.map(() => "?").join(", ")
      })`,
      ...rows.map(({ run_id }) => run_id),
    );
    assert.equal(workers.length, 3);
    await composed.compose("up", "--detach", "--scale", "transformer=1");
  });

  await step("a run survives a restart of Redis, and the death of the saver during a load", async () => {
    const many = 40_000;
    composed.env.SOURCE_USERS = `${many}`;
    await composed.compose("up", "--detach", "source");
    const runId = await composed.startRun();
    await composed.runIs(runId, "EXTRACTING");
    // Runs inside the container, as a command from outside may arrive after the load.
    const log = "database/data.db-wal";
    const inMidLoad = composed.compose(
      "exec",
      "-T",
      "saver",
      "sh",
      "-c",
      `until [ -s ${log} ] && [ "$(wc -c < ${log})" -gt 10000000 ]; do :; done; kill -9 -1`,
    );
    await composed.compose("restart", "redis");
    assert.notEqual(statusOf(composed, runId)?.status, "COMPLETED");
    await inMidLoad;
    assert.notEqual(statusOf(composed, runId)?.status, "COMPLETED");
    const row = await composed.runIs(runId, "COMPLETED");
    assert.deepEqual(countsOf(composed, row), {
      raw: many,
      processed: row.valid_count,
      invalid: row.invalid_count,
    });
    assert.equal(row.valid_count! + row.invalid_count!, many);
    const [saver] = await composed.containers("saver");
    assert.ok(saver!.RestartCount >= 1);
    composed.env.SOURCE_USERS = `${USERS}`;
    await composed.compose("up", "--detach", "source");
  });

  await step("a run that shrank is held, and loaded once it is released", async () => {
    const runId = await composed.startRun();
    await composed.runIs(runId, "HELD");
    await composed.graphql(`mutation { releaseRun(runId: "${runId}") { __typename } }`);
    const row = await composed.runIs(runId, "COMPLETED");
    assert.equal(row.valid_count! + row.invalid_count!, USERS);
  });

  await step("a run waits for the SFTP server", async () => {
    await composed.compose("stop", "sftp");
    const before = composed.delivered();
    const runId = await composed.startRun();
    await composed.runIs(runId, "DELIVERY_PENDING");
    assert.deepEqual(composed.delivered(), before);
    await composed.compose("start", "sftp");
    await composed.runIs(runId, "COMPLETED");
    assert.equal(composed.delivered().length, before.length + 4);
  });

  await step(
    "a server with another host key gets nothing, and the failed delivery is requested again",
    async () => {
      const knownHosts = `${composed.folder}/ssh_keys/known_hosts`;
      const pinned = await Deno.readTextFile(knownHosts);
      await composed.run("ssh-keygen", "-q", "-t", "ed25519", "-f", "other", "-N", "");
      const [type, key] = (await Deno.readTextFile(`${composed.folder}/other.pub`)).split(" ");
      await Deno.writeTextFile(knownHosts, `sftp ${type} ${key}\n`);
      const before = composed.delivered();
      const runId = await composed.startRun();
      const failed = await until("the delivery failed", () => {
        const row = statusOf(composed, runId);
        return row?.delivery_state === "FAILED" ? row : undefined;
      });
      assert.deepEqual(composed.delivered(), before);
      await Deno.writeTextFile(knownHosts, pinned);
      const { deadLetters } = await composed.graphql<
        { deadLetters: { nodes: { id: string; body: string }[] } }
      >(
        `{ deadLetters(channel: "channel:deliver") { nodes { id body } } }`,
      );
      assert.deepEqual(deadLetters.nodes.map(({ body }) => JSON.parse(body).run_id), [failed.run_id]);
      await composed.graphql(
        `mutation { replayDeadLetter(id: "${deadLetters.nodes[0]!.id}") { __typename } }`,
      );
      await until("it is delivered", () => statusOf(composed, runId)?.status === "COMPLETED" || undefined);
      assert.equal(composed.delivered().length, before.length + 4);
    },
  );

  let backedUp: number;
  await step("a backup is made while everything runs, and restored while everything is stopped", async () => {
    const runs = () => composed.query("SELECT 1 FROM etl_runs").length;
    backedUp = runs();
    await Deno.mkdir(`${composed.folder}/backup`);
    await composed.run("sqlite3", "database/data.db", "VACUUM INTO 'backup/data.db'");
    await composed.runIs(await composed.startRun(), "COMPLETED");
    assert.equal(runs(), backedUp + 1);
    await composed.compose("stop", "saver", "api");
    await composed.run(
      "sh",
      "-c",
      "rm -f database/data.db-wal database/data.db-shm && cp backup/data.db database/data.db",
    );
    await composed.compose("up", "--detach");
    await composed.ready();
    assert.equal(runs(), backedUp);
    await composed.runIs(await composed.startRun(), "COMPLETED");
    backedUp = runs();
  });

  await step("it stops cleanly, within the grace period", async () => {
    const since = Date.now();
    await composed.compose("stop");
    assert.ok(Date.now() - since < 25_000, `${Date.now() - since} ms`);
    const codes = (await composed.containers()).map((container: Container) =>
      [serviceOf(container), container.State.ExitCode] as const
    );
    assert.deepEqual(codes.filter(([, code]) => code !== 0), []);
    assert.equal(codes.length, PARTS.length + 4);
    await composed.compose("down");
    assert.deepEqual(await composed.containers(), []);
  });

  await step("it starts again with all data, and with secrets that nobody sees", async () => {
    await Deno.mkdir(`${composed.folder}/secrets`);
    await Deno.writeTextFile(`${composed.folder}/secrets/token`, `${TOKEN}\n`, { mode: 0o644 });
    await Deno.writeTextFile(`${composed.folder}/secrets/passphrase`, `${PASSPHRASE}\n`, { mode: 0o644 });
    composed.env.API_TOKEN_FILE = "./secrets/token";
    composed.env.SFTP_KEY_PASSPHRASE_FILE = "./secrets/passphrase";
    await composed.compose("up", "--detach");
    await composed.ready();
    assert.equal(composed.query("SELECT 1 FROM etl_runs").length, backedUp);
    assert.equal((await composed.ask("/etl_runs")).status, 401);
    await composed.runIs(await composed.startRun(TOKEN), "COMPLETED");
  });

  await step("a key pair made by hand and a new host key replace the old ones", async () => {
    const keys = `${composed.folder}/ssh_keys`;
    await Deno.copyFile(`${keys}/id_rsa`, `${composed.folder}/old_key`);
    await Deno.chmod(`${composed.folder}/old_key`, 0o600);
    const pinned = await Deno.readTextFile(`${keys}/known_hosts`);
    for (const name of ["id_rsa", "sftp_user.pub", "ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"]) {
      await Deno.remove(`${keys}/${name}`);
    }
    const key = ["-t", "rsa", "-b", "4096", "-f", "ssh_keys/id_rsa", "-N", PASSPHRASE];
    await composed.run("ssh-keygen", "-q", ...key);
    await Deno.rename(`${keys}/id_rsa.pub`, `${keys}/sftp_user.pub`);
    await Deno.chmod(`${keys}/id_rsa`, 0o644);
    await composed.compose("up", "--detach", "--force-recreate", "init", "sftp", "saver");
    await composed.runIs(await composed.startRun(TOKEN), "COMPLETED");
    assert.notEqual(await Deno.readTextFile(`${keys}/known_hosts`), pinned);
    assert.match(await login(composed, "IdentityFile=old_key"), /Permission denied \(publickey\)/);
  });

  await step("Docker's output, logs and image contain no secret", async () => {
    const containers = (await composed.containers()).map(({ Id }) => Id);
    const shown = [
      await composed.run("docker", "inspect", ...containers),
      await composed.run("docker", "history", "--no-trunc", "deno-etl"),
      await composed.compose("logs", "--no-color"),
    ].join("\n");
    const keyLine = (await Deno.readTextFile(`${composed.folder}/ssh_keys/id_rsa`)).split("\n")[10]!;
    for (const secret of [TOKEN, PASSPHRASE, keyLine]) assert.ok(!shown.includes(secret));
    // Packages contain keys for their own tests; only ours matter.
    const find = "find /app -path /app/.cache -prune -o -name '*id_rsa*' -print -o -name '.env*' -print";
    assert.equal(
      await composed.run("docker", "run", "--rm", "--entrypoint", "sh", "deno-etl", "-c", find),
      "",
    );
  });

  await step(
    "an unreadable secret and an unusable variable are reported together",
    async () => {
      const token = `${composed.folder}/secrets/token`;
      await Deno.chmod(token, 0o600);
      const starts = async (...args: string[]) => {
        const failure = await composed.run("docker", "run", "--rm", ...args).catch((error) => error);
        assert.ok(failure instanceof CommandFailed && failure.code === 2, String(failure));
        return failure.output;
      };
      assert.match(
        await starts("--volume", `${token}:/run/secrets/API_TOKEN:ro`, "deno-etl", "api"),
        /Cannot read the secret API_TOKEN: user 1000 may not/,
      );
      assert.match(
        await starts("--env", "BATCH_SIZE=0", "--env", "SCHEDULE=never", "deno-etl", "extractor"),
        /BATCH_SIZE is "0"[^]*SCHEDULE is "never"/,
      );
    },
  );
});

function countsOf(composed: Composed, { run_id }: RunRow) {
  const count = (table: string) =>
    composed.query<{ n: number }>(`SELECT count(*) AS n FROM ${table} WHERE run_id = ?`, run_id)[0]!.n;
  return { raw: count("raw_users"), processed: count("processed_users"), invalid: count("invalid_users") };
}

function statusOf(composed: Composed, runId: string): RunRow | undefined {
  return composed.query<RunRow>("SELECT * FROM etl_runs WHERE run_id = ?", runId)[0];
}

/** Returns the error of the SFTP server for this login. @throws Error if the login succeeds. */
async function login(composed: Composed, option: string): Promise<string> {
  const options = [
    option,
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
  ];
  try {
    await composed.run(
      "ssh",
      ...options.flatMap((option) => ["-o", option]),
      ...["-p", `${composed.sftpPort}`, "sftp_user@127.0.0.1", "-s", "sftp"],
    );
  } catch (error) {
    if (error instanceof CommandFailed) return error.output;
    throw error;
  }
  throw new Error(`The SFTP server let somebody in with ${option}.`);
}
