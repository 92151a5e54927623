/**
 * A pipeline on separate machines: each service, each engine, the SFTP server and the source has one. No two
 * machines share a disk.
 *
 * @module
 */
import { type Environment, pipelinesOf, type Service } from "../../cli/services.ts";
import { ensureKeys, pinHostKey } from "../../local/sftp/keys.ts";
import { SAMPLE_LISTS } from "../../local/source/server.ts";
import { programPath } from "../../cli/services.ts";
import type { S3Place } from "../../shared/files/s3/place.ts";
import { commandOn } from "../support/host.ts";
import { linesOf } from "../support/output.ts";
import { startPostgres } from "../support/postgres.ts";
import { startRedis } from "../support/redis.ts";
import { startS3, variablesOf } from "../support/s3.ts";
import { startSshd } from "../support/sshd.ts";
import { bareEnvironment } from "../support/test_pipeline.ts";
import { type Machine, ServiceMachine } from "./machine.ts";
import { makeSwitch, NetworkHost } from "./network.ts";

/** Number of machines for each service. */
const COPIES: Readonly<Record<Service, number>> = { extractor: 2, transformer: 3, saver: 2, api: 2 };

/** Seconds after which another machine claims the message of a machine that died. */
export const LEASE_SECONDS = 3;

const SOURCE_PORT = 4556;
const API_PORT = 8000;

/** The size of the source. */
export interface SourceSize {
  readonly users: number;
  /** Share of the users, 0 to 1, that break a rule. */
  readonly bad: number;
}

/** The machines and their addresses. Disposing of it ends the servers. */
export interface Cluster extends AsyncDisposable {
  readonly services: readonly ServiceMachine[];
  /** The machines with Redis, PostgreSQL, the S3 server, the SFTP server and the source. */
  readonly engines: readonly Machine[];
  readonly origins: readonly string[];
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly place: S3Place;
  readonly env: Environment;
  /** The folder for delivered files, on the SFTP server's disk. */
  readonly delivered: string;
}

/**
 * Creates the network and starts all machines, in any order. `world` is the folder of the world in which this
 * process runs.
 */
export async function startCluster(world: string, source: SourceSize): Promise<Cluster> {
  await using owned = new AsyncDisposableStack();
  await makeSwitch();
  let number = 10;
  const host = (name: string) => NetworkHost.make(world, name, number++);
  const [redisHost, databaseHost, filesHost, sftpHost, sourceHost] = [
    await host("redis"),
    await host("postgres"),
    await host("files"),
    await host("sftp"),
    await host("source"),
  ];
  const folder = `${world}/administrator`;
  const keys = await ensureKeys(folder, { type: "ed25519" });
  const [redis, database, files, sftp, records] = await Promise.all([
    startRedis({ host: redisHost }),
    startPostgres({ host: databaseHost }),
    startS3(filesHost),
    Deno.readTextFile(keys.publicKey).then((authorizedKey) => startSshd({ authorizedKey, host: sftpHost })),
    startRecords(sourceHost, source),
  ]);
  for (const server of [redis, database, files, sftp, records]) owned.use(server);
  await pinHostKey(`${folder}/known_hosts`, sftpHost.address, sftp.port, sftp.hostKey);
  const place = await files.bucket();
  const delivered = `${sftp.home}/upload`;
  const databaseUrl = `${await database.createDatabase()}?sslmode=disable`;
  const env: Environment = {
    ...await bareEnvironment(),
    ...Object.fromEntries(
      Object.entries(SAMPLE_LISTS).map((
        [name, list],
      ) => [name, `http://${sourceHost.address}:${SOURCE_PORT}/${list}`]),
    ),
    REDIS_URL: redis.url,
    DATABASE_URL: databaseUrl,
    ...variablesOf(place),
    SFTP_HOST: sftpHost.address,
    SFTP_PORT: String(sftp.port),
    SFTP_USER: sftp.user,
    SFTP_REMOTE_DIR: delivered,
    API_PORT: String(API_PORT),
    SCHEDULE: "off",
    RUN_ON_START: "never",
    LEASE_SECONDS: String(LEASE_SECONDS),
    // retry long enough: a run that fails because of an unreachable source keeps its promises, but tests
    // nothing
    HTTP_TIMEOUT_SECONDS: "2",
    MAX_RETRIES: "100",
    RETRY_DELAYS_SECONDS: "0.5",
    LOG_FORMAT: "json",
  };
  const pipelines = await pipelinesOf(env);
  const furnish = async (disk: string) => {
    await Deno.mkdir(`${disk}/ssh_keys`);
    for (const name of ["id_rsa", "known_hosts"]) {
      await Deno.copyFile(`${folder}/${name}`, `${disk}/ssh_keys/${name}`);
    }
  };
  const services: ServiceMachine[] = [];
  for (const [service, copies] of Object.entries(COPIES) as [Service, number][]) {
    for (let copy = 1; copy <= copies; copy++) {
      const own = await host(`${service}${copy}`);
      const itsEnv = service === "api" ? { ...env, API_HOST: own.address, ALLOWED_HOSTS: own.address } : env;
      const machine = new ServiceMachine(own, service, world, itsEnv, pipelines, furnish);
      await machine.install();
      services.push(machine);
      owned.defer(() => machine.kill());
    }
  }
  await Promise.all(services.map((machine) => machine.start()));
  const stack = owned.move();
  return {
    services,
    engines: [
      { host: redisHost, kill: () => redis.kill(), start: () => redis.start() },
      { host: databaseHost, kill: () => database.kill(), start: () => database.start() },
      { host: filesHost, kill: () => files.kill(), start: () => files.start() },
      { host: sftpHost, kill: () => sftp.kill(), start: () => sftp.start() },
      records,
    ],
    origins: services.filter(({ service }) => service === "api").map(({ host }) =>
      `http://${host.address}:${API_PORT}`
    ),
    redisUrl: redis.url,
    databaseUrl,
    place,
    env: { ...env, SFTP_KEY_PATH: `${folder}/id_rsa`, SFTP_KNOWN_HOSTS: `${folder}/known_hosts` },
    delivered,
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

/** Starts the source on a separate machine. */
async function startRecords(
  host: NetworkHost,
  { users, bad }: SourceSize,
): Promise<Machine & AsyncDisposable> {
  let process: Deno.ChildProcess | undefined;
  const kill = async () => {
    process?.kill("SIGKILL");
    await process?.stdout.cancel();
    await process?.status;
    process = undefined;
  };
  const start = async () => {
    process = commandOn(host, Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", "--cached-only", `--allow-net=${host.address}`],
        ...[programPath("local/source.ts"), "--host", host.address, "--port", String(SOURCE_PORT)],
        ...["--users", String(users), "--bad", String(bad)],
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    for await (const line of linesOf(process.stdout)) {
      if (line.startsWith("Sample source:")) return;
    }
    throw new Error("The source ended before it was ready.");
  };
  await start();
  return { host, kill, start, [Symbol.asyncDispose]: kill };
}
