/**
 * `deno task doctor`: looks at everything that the pipeline needs, one line each: ok, or what to do. Exit codes: 0 all well, 1 something needs
 * you, 2 configuration that can't be used. Changes nothing but a probe file on the SFTP server and in each folder, removed at once.
 *
 * @module
 */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { configure } from "@logtape/logtape";
import { fetchPage } from "../extractor/pages.ts";
import { sourceOf } from "../extractor/source.ts";
import { sftpOptionsOf } from "../saver/config.ts";
import { sftpDelivery } from "../saver/delivery/sftp.ts";
import { openChannel } from "../shared/channel/open.ts";
import { loadConfig } from "../shared/config/config.ts";
import { redisUrlOf } from "../shared/config/variables.ts";
import { messageOf } from "../shared/errors/errors.ts";
import { fileError } from "../shared/files/files.ts";
import { openStoreReadOnly } from "../shared/store/sqlite/open.ts";
import { readDepartments } from "../transformer/lookup.ts";
import { readEnvironment } from "./env_file.ts";
import { type Environment, problemsOf, SERVICES, VARIABLES } from "./services.ts";

/** Below this much free space a folder is complained about, in bytes: 1 GiB. */
const WANTED_FREE = 1024 ** 3;

/** Something to look at: answers what was found; throws what is wrong and what to do. */
interface Check {
  readonly name: string;
  look(): Promise<string>;
}

function checksOf(env: Environment): Check[] {
  const extractor = loadConfig("extractor", VARIABLES.extractor, env);
  const transformer = loadConfig("transformer", VARIABLES.transformer, env);
  const saver = loadConfig("saver", VARIABLES.saver, env);
  const folders = new Set([saver.DATA_DIR, dirname(saver.DB_PATH), dirname(saver.QUEUE_PATH)]);
  return [
    ...[...folders].map((folder) => ({ name: `folder ${folder}`, look: () => lookAtFolder(folder) })),
    {
      name: "database",
      look() {
        using store = openStoreReadOnly(saver.DB_PATH, { maskFields: saver.MASK_FIELDS });
        return Promise.resolve(
          store
            ? `${saver.DB_PATH}, ${store.runs.count()} runs`
            : `${saver.DB_PATH} is made at the first start`,
        );
      },
    },
    {
      name: "lookup",
      look: async () =>
        `${transformer.LOOKUP_FILE}, ${(await readDepartments(transformer.LOOKUP_FILE)).size} departments`,
    },
    {
      name: "channel",
      async look() {
        const redisUrl = redisUrlOf(saver);
        await using channel = await openChannel({ redisUrl, queuePath: saver.QUEUE_PATH });
        await channel.ping();
        return redisUrl === undefined
          ? `embedded, ${saver.QUEUE_PATH}`
          : `Redis at ${new URL(redisUrl).host}`;
      },
    },
    {
      name: "source",
      async look() {
        const source = { ...sourceOf(extractor), batchSize: 1, maxRetries: 0 };
        return `${source.name}, ${(await fetchPage(source, 0, new AbortController().signal)).total} users`;
      },
    },
    {
      name: "SFTP",
      async look() {
        const options = sftpOptionsOf(saver);
        if (options === undefined) {
          return "not configured (SFTP_HOST); start, run and demo bring a local server";
        }
        // strict, so that looking records no key
        const probed = await sftpDelivery({ ...options, hostKeyPolicy: "strict" }).probe(
          AbortSignal.timeout(30_000),
        );
        return `${saver.SFTP_HOST}:${saver.SFTP_PORT} ${probed.folder}, host key ${probed.hostKeyType} ${probed.fingerprint}, login and write`;
      },
    },
  ];
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

async function main(): Promise<number> {
  const say = (line: string) => Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
  const env = await readEnvironment();
  const problems = problemsOf(SERVICES, env);
  for (const problem of problems) await say(`configuration   ${problem}`);
  if (problems.length > 0) return 2;
  await say("configuration   ok");
  let unwell = 0;
  for (const { name, look } of checksOf(env)) {
    const told = await look().then((found) => `ok: ${found}`, (error) => (unwell++, messageOf(error)));
    await say(`${name.padEnd(15)} ${told}`);
  }
  return unwell === 0 ? 0 : 1;
}

if (import.meta.main) {
  await configure({
    sinks: {},
    loggers: [{ category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" }],
    reset: true,
  });
  Deno.exit(await main());
}
