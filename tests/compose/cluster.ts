/**
 * The second half of `deno task compose-test`: docker-compose.yml with docker-compose.cluster.yml on a real
 * Docker daemon. Kills a container of each service and of each engine during a run. Without access to a
 * registry, PostgreSQL is Debian's and the S3 server is Swift instead of MinIO
 * (`tests/compose/stand_ins.ts`); such a run doesn't test MinIO.
 *
 * @module
 */
import assert from "node:assert/strict";
import { PACKAGES } from "../support/needs.ts";
import { freePort } from "../support/free_port.ts";
import { keysIn } from "../support/s3.ts";
import { HARMLESS, REFUSED_BY_POSTGRES } from "../support/sql_attacks.ts";
import { grantSql } from "../../shared/store/open.ts";
import { Composed, type Container, type RunRow, serviceOf, until } from "./composed.ts";
import { installMissing, openDaemon } from "./daemon.ts";
import { provideImages } from "./images.ts";
import { CLUSTER_IMAGES, IMAGES } from "./stand_ins.ts";

const FIRST_USERS = 2_000;
const SECOND_USERS = 40_000;
const SCALED = ["extractor", "transformer", "saver"];
const ENGINES = ["postgres", "store", "redis"];
const PASSWORD = "a-password-for-the-test-0123456789";
const CONSOLE_PASSWORD = "another-password-for-the-test";
const STORE = {
  accessKeyId: "a-key-for-the-test",
  secretAccessKey: "a-secret-for-the-test-0123456789",
  region: "us-east-1",
};

/** Runs a query on the database in its container; returns the rows. */
async function query<Row>(composed: Composed, sql: string): Promise<Row[]> {
  const [postgres] = await composed.containers("postgres");
  const json = `SELECT coalesce(json_agg(found), '[]') FROM (${sql}) AS found`;
  const psql = ["psql", "--username", "etl", "--tuples-only", "--no-align", "--command", json, "etl"];
  return JSON.parse(await composed.run("docker", "exec", postgres!.Id, ...psql));
}

/** Waits until the run is complete. @throws Error as soon as the run fails. */
async function completed(composed: Composed, where: string): Promise<RunRow> {
  const row = await until(`the run is complete: ${where}`, async () => {
    const [row] = await query<RunRow>(composed, `SELECT * FROM etl_runs WHERE ${where}`);
    return row !== undefined && ["COMPLETED", "FAILED"].includes(row.status) ? row : undefined;
  });
  assert.equal(row.status, "COMPLETED", JSON.stringify(row));
  return row;
}

/** Asserts that the run has `users` records, each once, in the database, in the bucket and on the SFTP server. */
async function isWhole(composed: Composed, run: RunRow, users: number): Promise<void> {
  const [counts] = await query(
    composed,
    ["raw_users", "processed_users", "invalid_users"].map((name) =>
      `(SELECT count(*) FROM ${name} WHERE run_id = '${run.run_id}') AS ${name}`
    ).join(", ").replace(/^/, "SELECT "),
  );
  const { valid_count: valid, invalid_count: invalid } = run;
  assert.deepEqual(counts, { raw_users: users, processed_users: valid, invalid_users: invalid });
  assert.ok(invalid! > 0 && valid! + invalid! === users);

  const [store] = await composed.containers("store");
  const [network] = Object.values(store!.NetworkSettings.Networks);
  const endpoint = `http://${network!.IPAddress}:9000`;
  const place = { ...STORE, bucket: "etl", prefix: "files", endpoint, pathStyle: true };
  const keys = await keysIn(place, "files/");
  for (const file of [run.raw_file, run.processed_file, run.dlq_file]) {
    assert.ok(keys.includes(`files/${file}`), `${file} in ${keys}`);
  }

  const time = run.raw_file!.match(/\d{8}_\d{6}/)![0];
  const lines = await Promise.all(
    composed.delivered().filter((name) => name.includes(time) && name.endsWith(".jsonl")).map(
      async (name) => {
        const text = await Deno.readTextFile(`${composed.folder}/sftp_data/${name}`);
        return [name.replace(/_\d{8}_\d{6}/, ""), text.trimEnd().split("\n").length];
      },
    ),
  );
  assert.deepEqual(Object.fromEntries(lines), {
    "etl.jsonl": valid,
    "invalid_users.jsonl": invalid,
    "records.jsonl": users,
  });
  assert.ok(composed.delivered().includes(`manifest_${time}.json`));
}

Deno.test("the cluster completes a run while a container of each service and each engine is killed", async (test) => {
  const { postgres, ...others } = PACKAGES;
  const swift = Object.entries(others).filter(([program]) => program.startsWith("swift-"));
  await installMissing({ postgres, ...Object.fromEntries(swift) });
  await using daemon = await openDaemon();
  if (daemon.host !== undefined) Deno.env.set("DOCKER_HOST", daemon.host);
  await using _images = await provideImages([...IMAGES, ...CLUSTER_IMAGES]);
  await using composed = await Composed.create(daemon.host, {
    COMPOSE_FILE: "docker-compose.yml:docker-compose.cluster.yml:tests/compose/override.yml",
    API2_PORT: `${freePort()}`,
    POSTGRES_PASSWORD: PASSWORD,
    AWS_ACCESS_KEY_ID: STORE.accessKeyId,
    AWS_SECRET_ACCESS_KEY: STORE.secretAccessKey,
    LEASE_SECONDS: "5",
    SOURCE_USERS: `${FIRST_USERS}`,
  });

  let failed = false;
  const step = async (name: string, fn: () => Promise<void>) => {
    failed = !await test.step({ name, fn, ignore: failed }) || failed;
  };

  await step("two of each service start, and each container is healthy", async () => {
    await composed.compose("up", "--detach");
    const wanted = [...SCALED, ...SCALED, ...ENGINES, "api", "api2", "sftp"].sort();
    await until("all are healthy", async () => {
      const healthy = (await composed.containers()).filter(({ State }) => State.Health?.Status === "healthy");
      return healthy.map(serviceOf).sort().join() === wanted.join() || undefined;
    });
  });

  await step(
    "the first run arrives: rows in Postgres, objects in the bucket, files at the SFTP server",
    async () => {
      await isWhole(composed, await completed(composed, "true"), FIRST_USERS);
    },
  );

  await step(
    "the SQL console is off until it has its own user; then it answers, and refuses every attack",
    async () => {
      const { API_PORT, API2_PORT } = composed.env;
      const ask = async (port: string, query: string) => {
        const answer = await fetch(`http://127.0.0.1:${port}/query_sql`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ query }),
        });
        return { status: answer.status, text: await answer.text() };
      };
      const count = "SELECT count(*) AS n FROM raw_users";
      const off = await ask(API_PORT!, count);
      assert.ok(off.status >= 400 && off.text.includes("SQL_DATABASE_URL"), off.text);

      const [postgres] = await composed.containers("postgres");
      const [network] = Object.values(postgres!.NetworkSettings.Networks);
      const owner = `postgres://etl:${PASSWORD}@${network!.IPAddress}/etl?sslmode=disable`;
      const granted = (await grantSql(owner)).replace("'PASSWORD'", `'${CONSOLE_PASSWORD}'`);
      const psql = ["psql", "--username", "etl", "--set", "ON_ERROR_STOP=1", "--command", granted, "etl"];
      await composed.run("docker", "exec", postgres!.Id, ...psql);
      composed.env.SQL_DATABASE_URL = `postgres://etl_sql:${CONSOLE_PASSWORD}@postgres/etl?sslmode=disable`;
      composed.env.SQL_TIMEOUT_MS = "1000";
      await composed.compose("up", "--detach", "api", "api2");
      for (const port of [API_PORT!, API2_PORT!]) {
        const { text } = await until("the console answers", async () => {
          const answer = await ask(port, count);
          return answer.status === 200 ? answer : undefined;
        });
        assert.deepEqual(JSON.parse(text).rows, [{ n: FIRST_USERS }]);
      }
      for (const [i, [attack]] of REFUSED_BY_POSTGRES.entries()) {
        if (HARMLESS.test(attack)) continue;
        const { status, text } = await ask([API_PORT!, API2_PORT!][i % 2]!, attack);
        assert.equal(status, 400, `${attack}: ${text}`);
        assert.match(JSON.parse(text).detail, /^(Only SELECT|SQL error: )/);
      }
      assert.equal(JSON.parse((await ask(API2_PORT!, count)).text).rows[0].n, FIRST_USERS);
    },
  );

  await step("a run survives the death of its services, of an API, and of each engine", async () => {
    composed.env.SOURCE_USERS = `${SECOND_USERS}`;
    await composed.compose("up", "--detach", "source");
    const runId = await composed.startRun();
    const kill = async (container: Container) => void await composed.run("docker", "kill", container.Id);
    for (const [i, phase] of ["EXTRACTING", "TRANSFORMING", "LOADING"].entries()) {
      // Docker doesn't restart a container that was killed by hand: the other one has to finish the run.
      const worker = await until(`somebody is ${phase}`, async () => {
        const [event] = await query<{ body: string }>(
          composed,
          `SELECT body FROM run_events WHERE run_id = '${runId}' AND phase = '${phase}' AND type = 'phase_started'`,
        );
        return event && (JSON.parse(event.body) as { instance: string }).instance.split(":")[0];
      });
      const all = await composed.containers();
      await kill(all.find(({ Id }) => Id.startsWith(worker))!);
      const engine = all.find((container) => serviceOf(container) === ENGINES[i])!;
      await kill(engine);
      await composed.run("docker", "start", engine.Id);
    }
    const [api] = await composed.containers("api");
    await kill(api!);
    await isWhole(composed, await completed(composed, `run_id = '${runId}'`), SECOND_USERS);
    const second = await fetch(`http://127.0.0.1:${composed.env.API2_PORT}/etl_runs`);
    assert.deepEqual((await second.json() as unknown[]).length, 2);
    const dead = (await composed.containers()).filter(({ State }) => State.ExitCode === 137).map(serviceOf);
    assert.deepEqual(dead.sort(), [...SCALED, "api"].sort());
  });
});
