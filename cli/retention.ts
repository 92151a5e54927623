import { openChannel } from "../shared/channel/open.ts";
import { filesPlaceOf, redisUrlOf, storePlaceOf } from "../shared/config/variables.ts";
import { oldRuns, removeOld } from "../saver/retention.ts";
import { oldBefore } from "../saver/trimming.ts";
import { type ConfigOf, loadConfig } from "../shared/config/config.ts";
import { ConfigError } from "../shared/errors/errors.ts";
import { openFiles } from "../shared/files/open.ts";
import { openStore, openStoreToRead } from "../shared/store/open.ts";
import type { Store } from "../shared/store/store.ts";
import { startLogging } from "../shared/telemetry/log.ts";
import { getLogger } from "@logtape/logtape";
import { type CommandLine, EXIT, numberOf, runCommand, say } from "./command_line.ts";
import { readEnvironment } from "./env_file.ts";
import { VARIABLES } from "./services.ts";

type Config = ConfigOf<typeof VARIABLES.saver>;

const HELP = `deno task retention [--days N] [--keep-runs N] [--apply]

Lists the local files of old runs that may be removed, and why others stay; and the records of old runs that may leave the database.
  --days N        how old a run has to be for its files to go; default RETENTION_DAYS
  --keep-runs N   how old a run has to be for its records to go; default KEEP_RUNS_DAYS
  --apply         removes both
Exit codes: 0 done; 1 failed; 2 a command or configuration that can't be used.`;

const OPTIONS = {
  days: { type: "string" },
  "keep-runs": { type: "string" },
  apply: { type: "boolean", default: false },
} as const;

async function main({ values }: CommandLine<typeof OPTIONS>): Promise<number> {
  const { days: given, "keep-runs": keep, apply } = values;
  if (given !== undefined) numberOf("days", given);
  if (keep !== undefined) numberOf("keep-runs", keep);
  const config = loadConfig("retention", VARIABLES.saver, {
    ...await readEnvironment(),
    ...given !== undefined && { RETENTION_DAYS: given },
    ...keep !== undefined && { KEEP_RUNS_DAYS: keep },
  });
  const { RETENTION_DAYS: days, KEEP_RUNS_DAYS: keepDays } = config;
  if (days === undefined && keepDays === "off") {
    throw new ConfigError("retention", [
      "RETENTION_DAYS is unset and KEEP_RUNS_DAYS is off; wanted a number of days there, or as --days N or --keep-runs N",
    ]);
  }
  await startLogging({ level: config.LOG_LEVEL, format: config.LOG_FORMAT });
  if (days !== undefined) await listFiles(config, days);
  if (keepDays !== "off") await listRecords(config, keepDays);
  if (apply) {
    await using store = await openStore(storePlaceOf(config), []);
    if (days !== undefined) await removeFiles(store, config, days);
    if (keepDays !== "off") await removeRecords(store, keepDays);
  }
  if (!apply) say("Nothing was removed; --apply removes what can be removed.");
  return EXIT.ok;
}

/** Lists for each old run what would happen to its files. */
async function listFiles(config: Config, days: number): Promise<void> {
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

/** Lists the runs whose records would be removed from the database. */
async function listRecords(config: Config, days: number): Promise<void> {
  await using store = await openStoreToRead(storePlaceOf(config));
  const { toGiveBack } = await store?.growth() ?? {};
  if (toGiveBack !== undefined) {
    say(
      `The database was made by an older program: room in it that gets free is used again, but not given back to the disk. To change that once, ` +
        `${toGiveBack}.`,
    );
  }
  const files = await store?.trimmable(oldBefore(days)) ?? [];
  for (const { run_id, kind, records } of files) {
    say(`run ${run_id}: ${records} ${kind} records in the database`);
  }
  const total = files.reduce((sum, { records }) => sum + records, 0);
  say(
    `Loaded more than ${days} days ago: ${total} record(s) of ${
      new Set(files.map(({ run_id }) => run_id)).size
    } run(s) can leave the database, ` +
      `but for those that the current state, a younger run or an uncorrected invalid record needs.`,
  );
}

async function removeFiles(store: Store, config: Config, days: number): Promise<void> {
  await using channel = await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH });
  const files = openFiles(filesPlaceOf(config));
  const log = getLogger(["etl", "retention"]);
  const removed = await removeOld({ store, files, days, channel, log }, new AbortController().signal);
  say(`${removed} file(s) were removed.`);
}

async function removeRecords(store: Store, days: number): Promise<void> {
  const { records, events } = await store.trim(oldBefore(days));
  say(`${records} record(s) and ${events} event(s) were removed from the database.`);
}

if (import.meta.main) await runCommand({ help: HELP, options: OPTIONS }, main);
