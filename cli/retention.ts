/**
 * `deno task retention [--days N] [--apply]`: lists the local files of old runs that may go, and why others stay; with `--apply` it removes
 * them. N is `RETENTION_DAYS` where it isn't given. Exit codes: 0 done, 1 failed, 2 usage or configuration that can't be used.
 *
 * @module
 */
import { openChannel } from "../shared/channel/open.ts";
import { filesPlaceOf, redisUrlOf, storePlaceOf } from "../shared/config/variables.ts";
import { oldRuns, removeOld } from "../saver/retention.ts";
import { type ConfigOf, loadConfig } from "../shared/config/config.ts";
import { ConfigError } from "../shared/errors/errors.ts";
import { openFiles } from "../shared/files/open.ts";
import { startLogging } from "../shared/telemetry/log.ts";
import { getLogger } from "@logtape/logtape";
import { type CommandLine, EXIT, numberOf, runCommand, say } from "./command_line.ts";
import { readEnvironment } from "./env_file.ts";
import { VARIABLES } from "./services.ts";
import { openStore, openStoreToRead } from "../shared/store/open.ts";

type Config = ConfigOf<typeof VARIABLES.saver>;

const HELP = `deno task retention [--days N] [--apply]

Lists the local files of old runs that may be removed, and why others stay.
  --days N   how old a run has to be; default RETENTION_DAYS
  --apply    removes the files
Exit codes: 0 done; 1 failed; 2 a command or configuration that can't be used.`;

const OPTIONS = { days: { type: "string" }, apply: { type: "boolean", default: false } } as const;

async function main({ values: { days: given, apply } }: CommandLine<typeof OPTIONS>): Promise<number> {
  if (given !== undefined) numberOf("days", given);
  const env = await readEnvironment();
  const config = loadConfig(
    "retention",
    VARIABLES.saver,
    given === undefined ? env : { ...env, RETENTION_DAYS: given },
  );
  const days = config.RETENTION_DAYS;
  if (days === undefined) {
    throw new ConfigError("retention", [
      "RETENTION_DAYS is unset; wanted a number of days there or as --days N",
    ]);
  }
  await startLogging({ level: config.LOG_LEVEL, format: config.LOG_FORMAT });
  await list(config, days);
  if (apply) await remove(config, days);
  else say("Nothing was removed; --apply removes the files that can be removed.");
  return EXIT.ok;
}

/** Says of each old run what is to become of its files. */
async function list(config: Config, days: number): Promise<void> {
  await using store = await openStoreToRead(storePlaceOf(config));
  const [going, staying] = [{ files: 0, bytes: 0 }, { files: 0, bytes: 0 }];
  for await (const { run, files, keep } of store === undefined ? [] : oldRuns(store.runs, days)) {
    say(
      `run ${run.run_id}, requested at ${run.run_timestamp}: ${
        keep === undefined ? "can be removed" : `stays, as ${keep}`
      }`,
    );
    const sum = keep === undefined ? going : staying;
    for (const { name, bytes } of files) {
      say(`  ${name}, ${bytes} bytes`);
      sum.files += 1;
      sum.bytes += bytes;
    }
  }
  say(
    `Older than ${days} days: ${going.files} file(s) with ${going.bytes} bytes can be removed, ${staying.files} with ${staying.bytes} stay.`,
  );
}

async function remove(config: Config, days: number): Promise<void> {
  await using channel = await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH });
  await using store = await openStore(storePlaceOf(config), []);
  const files = openFiles(filesPlaceOf(config));
  const log = getLogger(["etl", "retention"]);
  const removed = await removeOld({ store, files, days, channel, log }, new AbortController().signal);
  say(`${removed} file(s) were removed.`);
}

if (import.meta.main) await runCommand({ help: HELP, options: OPTIONS }, main);
