import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { firstPage } from "../extractor/pages.ts";
import { type Patience, patienceOf, sourceOf } from "../extractor/source.ts";
import { notifyOptionsOf, sftpOptionsOf } from "../saver/config.ts";
import { sftpDelivery } from "../saver/delivery/sftp.ts";
import type { Receiver } from "../saver/notify/receivers.ts";
import { openChannel } from "../shared/channel/open.ts";
import { loadConfig } from "../shared/config/config.ts";
import { redisUrlOf, s3PlaceOf, storePlaceOf } from "../shared/config/variables.ts";
import { messageOf, PermanentError, TransientError } from "../shared/errors/errors.ts";
import { fileError } from "../shared/files/disk.ts";
import { inspectBucket } from "../shared/files/open.ts";
import { DEFAULT_PIPELINE } from "../shared/contracts/names.ts";
import type { Growth } from "../shared/store/rows.ts";
import type { Pipelines } from "../shared/pipeline/load.ts";
import type { Plan } from "../shared/pipeline/plan.ts";
import { type ReadEnv, resolved, variablesOf } from "../shared/pipeline/resolve.ts";
import { readLookups } from "../transformer/lookup.ts";
import { EXIT, print, runCommand, say, UsageError } from "./command_line.ts";
import { readEnvironment } from "./env_file.ts";
import { type Environment, pipelinesOf, problemsOf, SERVICES, VARIABLES } from "./services.ts";
import { grantSql, inspect, inspectConsole, openStoreToRead, type StorePlace } from "../shared/store/open.ts";

/** A folder with less free space than this fails the check, in bytes: 1 GiB. */
const WANTED_FREE = 1024 ** 3;

/** A larger write-ahead log fails the check, in bytes: 1 GiB, more than a load leaves. */
const MOST_LOG = 1024 ** 3;

/** How long a receiver of notifications may take to accept a connection, in milliseconds. */
const RECEIVER_WITHIN_MS = 5_000;

/** A check: returns what it found; throws the problem and the remedy. */
interface Check {
  readonly name: string;
  /** The check that must pass first, as this one would fail for the same reason. */
  readonly after?: string;
  look(): Promise<string>;
}

function checksOf(env: Environment, pipelines: Pipelines): Check[] {
  const extractor = loadConfig("extractor", VARIABLES.extractor, env);
  const transformer = loadConfig("transformer", VARIABLES.transformer, env);
  const saver = loadConfig("saver", VARIABLES.saver, env);
  const place = storePlaceOf(saver);
  const bucket = s3PlaceOf(saver);
  const databaseFolder = "path" in place ? [dirname(place.path)] : [];
  const folders = new Set([saver.DATA_DIR, ...databaseFolder, dirname(saver.QUEUE_PATH)]);
  return [
    ...[...folders].map((folder) => ({ name: `folder ${folder}`, look: () => lookAtFolder(folder) })),
    {
      name: "database",
      look: () => "path" in place ? lookAtDatabase(place.path) : lookAtPostgres(place.url),
    },
    ...bucket === undefined ? [] : [{ name: "files", look: () => inspectBucket(bucket) }],
    ...consoleChecks(place, loadConfig("api", VARIABLES.api, env).SQL_DATABASE_URL),
    {
      name: "held runs",
      after: "database",
      look: () => lookForHeld(place),
    },
    {
      name: "lookup",
      look: async () => {
        const dir = transformer.PIPELINES_DIR;
        const readEnv = (name: string) => env[name];
        const lookups = await Promise.all(
          [...pipelines.plans.values()].map((plan) => readLookups(plan, { dir, readEnv })),
        );
        return lookups.flatMap(({ added }) => added.map(({ path, size }) => `${path}, ${size} values`))
          .join("; ") || "none";
      },
    },
    {
      name: "channel",
      async look() {
        const redisUrl = redisUrlOf(saver);
        await using channel = await openChannel({ redisUrl, queuePath: saver.QUEUE_PATH });
        const warning = await channel.ping();
        if (warning !== undefined) throw new Error(warning);
        return redisUrl === undefined
          ? `embedded, ${saver.QUEUE_PATH}`
          : `Redis at ${new URL(redisUrl).host}`;
      },
    },
    ...sourceChecks(pipelines, patienceOf(extractor), (name) => env[name]),
    {
      name: "SFTP",
      async look() {
        const options = sftpOptionsOf(saver);
        if (options === undefined) {
          return "not configured (SFTP_HOST); start, run and demo bring a local server";
        }
        // strict, so that the check records no key
        const probed = await sftpDelivery({ ...options, hostKeyPolicy: "strict" }).probe(
          AbortSignal.timeout(30_000),
        );
        return `${saver.SFTP_HOST}:${saver.SFTP_PORT} ${probed.folder}, host key ${probed.hostKeyType} ${probed.fingerprint}, login and write`;
      },
    },
    { name: "notifications", look: () => lookAtReceivers(notifyOptionsOf(saver).receivers) },
  ];
}

/** Connects to each receiver, but sends nothing: `deno task etl notify --test` does. */
async function lookAtReceivers(receivers: readonly Receiver[]): Promise<string> {
  for (const { url, host } of receivers) {
    const { protocol, hostname, port } = new URL(url);
    const isPlain = protocol === "http:";
    const address = {
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port || (isPlain ? 80 : 443)),
      signal: AbortSignal.timeout(RECEIVER_WITHIN_MS),
    };
    try {
      using _connection = isPlain ? await Deno.connect(address) : await Deno.connectTls(address);
    } catch (error) {
      throw new Error(
        `Cannot connect to ${host}: ${messageOf(error)}. Check NOTIFY_URL, and whether the receiver works.`,
      );
    }
  }
  if (receivers.length === 0) return "not configured (NOTIFY_URL)";
  return `${receivers.map(({ host }) => host).join(", ")}; try it with deno task etl notify --test`;
}

/** Fetches the first page of each source with planned runs; an unusable definition fails the check. */
function sourceChecks({ plans, broken }: Pipelines, patience: Patience, readEnv: ReadEnv): Check[] {
  const nameOf = (pipeline: string) => pipeline === DEFAULT_PIPELINE ? "source" : `source of ${pipeline}`;
  const isPlanned = ([name, { definition: { schedule = "off" } }]: [string, Plan]) =>
    name === DEFAULT_PIPELINE || resolved(schedule, readEnv).value !== "off";
  return [
    ...[...plans].filter(isPlanned).map(([name, plan]) => ({
      name: nameOf(name),
      async look() {
        using source = sourceOf(plan, { ...patience, maxRetries: 0 }, readEnv);
        try {
          const { way, records } = await firstPage(source, new AbortController().signal);
          return `${source.name}, ${way.total ?? `a page of ${records?.length ?? 0}`} ${name}`;
        } catch (error) {
          // the cause is about this request; the error around it is about a run, and there is none
          if (!(error instanceof PermanentError && error.cause instanceof TransientError)) throw error;
          const [variable] = variablesOf(plan.definition.source.url);
          throw new Error(
            `Cannot fetch a page of ${source.name}: ${error.cause.message}. Check ${
              variable ?? `${name}.ts`
            }, and whether the source works.`,
          );
        }
      },
    })),
    ...[...broken].map(([name, problems]) => ({
      name: nameOf(name),
      look: () =>
        Promise.reject(new Error(`${problems.join("; ")}. deno task check ${name} looks at it again.`)),
    })),
  ];
}

/**
 * Checks that the SQL console's user has no more rights than it should. No check without PostgreSQL, where the console
 * needs no user.
 */
function consoleChecks(place: StorePlace, url: string | undefined): Check[] {
  if ("path" in place) return [];
  const look = async () => {
    if (url === undefined) return "off, as SQL_DATABASE_URL is not set (--grant)";
    await using store = await openStoreToRead(place);
    return store === undefined ? "waits for the saver's first start" : await inspectConsole(url, store);
  };
  return [{ name: "SQL console", after: "database", look }];
}

async function lookAtPostgres(url: string): Promise<string> {
  const facts = await inspect(url);
  await using store = await openStoreToRead({ url });
  const runs = store === undefined
    ? "its tables will be made at the saver's first start"
    : `${await store.runs.count()} runs, ${growthInWords(await store.growth())}`;
  return `${facts}, ${runs}`;
}

async function lookAtDatabase(path: string): Promise<string> {
  await using store = await openStoreToRead({ path });
  if (store === undefined) return `${path} will be created at the first start`;
  const damage = await store.damage();
  if (damage !== undefined) {
    throw new Error(`${path} is damaged: ${damage}. Stop the services and restore the last back-up.`);
  }
  const { size: log } = await Deno.stat(`${path}-wal`).catch(() => ({ size: 0 }));
  if (log > MOST_LOG) {
    throw new Error(
      `The write-ahead log of ${path} has ${
        Math.floor(log / 1024 ** 2)
      } MiB. Close programs that keep the database open; the saver's next load empties it.`,
    );
  }
  return `${path}, sound, ${await store.runs.count()} runs, ${growthInWords(await store.growth())}`;
}

function growthInWords({ bytes, bytesPerDay, daysLeft }: Growth): string {
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  if (bytesPerDay === null) return megabytes(bytes);
  const full = daysLeft === null
    ? ""
    : `; its disk is full in ${Math.floor(daysLeft)} days if that continues`;
  return `${megabytes(bytes)}, grows by ${megabytes(bytesPerDay)} a day${full}`;
}

async function lookForHeld(place: StorePlace): Promise<string> {
  await using store = await openStoreToRead(place);
  const held = await store?.runs.list({ status: ["HELD"] }, { limit: 100, offset: 0 }) ?? [];
  if (held.length === 0) return "none";
  const all = held.map(({ id, pipeline }) => `run ${id} of ${pipeline}`).join(", ");
  throw new Error(
    `${all}: later runs wait until somebody decides. Look with deno task etl show RUN, then release or reject it.`,
  );
}

async function lookAtFolder(folder: string): Promise<string> {
  const probe = `${folder}/.doctor.${Deno.pid}`;
  try {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(probe, "");
    await Deno.remove(probe);
  } catch (error) {
    throw fileError("write", folder, error);
  }
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free < WANTED_FREE) {
    throw new Error(`${Math.floor(free / 1024 ** 2)} MiB are free; wanted 1024. Make room.`);
  }
  return `writable, ${Math.floor(free / 1024 ** 3)} GiB free`;
}

const HELP = `deno task doctor [--json]
deno task doctor --grant

Checks configuration, folders, database, lookup, channel, source, SFTP server and receivers of notifications. Changes
nothing but a probe file on the SFTP server and in each folder, removed at once.
  --json   one JSON object for each check; ok is null for one that another one's failure keeps from being made
  --grant  checks nothing, and prints the SQL that makes the user of SQL_DATABASE_URL, for the SQL console on PostgreSQL
Exit codes: 0 nothing is wrong; 1 something is; 2 configuration that can't be used.`;

/** Prints the statements that create the user of the SQL console. */
async function printGrant(): Promise<number> {
  const { DATABASE_URL } = loadConfig("api", VARIABLES.api, await readEnvironment());
  if (DATABASE_URL === undefined) throw new UsageError("Cannot print them: DATABASE_URL is not set.");
  say(await grantSql(DATABASE_URL));
  return EXIT.ok;
}

async function main(json: boolean): Promise<number> {
  const report = (name: string, ok: boolean | null, text: string) =>
    json
      ? print({ check: name, ok, text })
      : say(`${name.padEnd(15)} ${ok && text ? "ok: " : ""}${text || "ok"}`);
  const env = await readEnvironment();
  const problems = problemsOf(SERVICES, env);
  for (const problem of problems) report("configuration", false, problem);
  if (problems.length > 0) return EXIT.usage;
  report("configuration", true, "");
  const wrong = new Set<string>();
  for (const { name, after, look } of checksOf(env, await pipelinesOf(env))) {
    if (after !== undefined && wrong.has(after)) {
      report(name, null, `not looked at, because of ${after}`);
      continue;
    }
    try {
      report(name, true, await look());
    } catch (error) {
      wrong.add(name);
      report(name, false, messageOf(error));
    }
  }
  return wrong.size === 0 ? EXIT.ok : EXIT.failed;
}

if (import.meta.main) {
  const options = {
    json: { type: "boolean", default: false },
    grant: { type: "boolean", default: false },
  } as const;
  await runCommand({ help: HELP, options }, ({ values }) => values.grant ? printGrant() : main(values.json));
}
