/**
 * `deno task migrate --to postgres://…`: copies the configured SQLite database, and the extractor's state files, into
 * an empty PostgreSQL database. Compares them before anything is committed, and again if they were copied before.
 * Changes nothing in the source. Exit codes: 0 the copy exists and is identical, 1 it isn't, 2 unusable command line or
 * configuration.
 */
import { ALIVE_MS, isAlive } from "../shared/channel/channel.ts";
import { openChannel } from "../shared/channel/open.ts";
import { loadConfig } from "../shared/config/config.ts";
import { DatabaseVariables, redisUrlOf } from "../shared/config/variables.ts";
import { TransientError } from "../shared/errors/errors.ts";
import { LocalDocuments } from "../shared/files/documents.ts";
import { type Copy, copyStore, shownPlace } from "../shared/store/open.ts";
import { type CommandLine, complain, EXIT, isTerminal, runCommand, say, UsageError } from "./command_line.ts";
import { readEnvironment } from "./env_file.ts";
import { ProgressBar } from "./progress.ts";
import { VARIABLES } from "./services.ts";

const HELP = `deno task migrate --to postgres://USER:PASSWORD@HOST[:PORT]/DATABASE

Copies the SQLite database DB_PATH, and what the extractor keeps in DATA_DIR/state, into a PostgreSQL database that holds
nothing, and compares them row by row. All of it is kept, or nothing: run it again where it ended early. Where the copy is
there already it is only compared. Stop all services first. Changes nothing of what is copied.
Exit codes: 0 the copy is there and the same; 1 it isn't; 2 a command or configuration that can't be used.`;

const OPTIONS = { to: { type: "string" } } as const;

/**
 * The extractor's state that is copied: checkpoints (also those set aside), schedules, standings and announcements; not
 * the receipts of transforms.
 */
const KEPT = /^(?!transformed\/).+\.json(\.(corrupt|other-source)-\w+)?$/;

async function main({ values: { to } }: CommandLine<typeof OPTIONS>): Promise<number> {
  if (to === undefined) throw new UsageError(`Where to? ${HELP.split("\n", 1)[0]}`);
  const target = DatabaseVariables.DATABASE_URL.safeParse(to);
  // the address isn't shown, as it contains a password
  if (target.error) throw new UsageError(`--to can't be used: ${target.error.issues[0]!.message}.`);
  const config = loadConfig("migrate", VARIABLES.saver, await readEnvironment());
  if (config.DATABASE_URL !== undefined) {
    throw new UsageError(
      `DATABASE_URL names ${
        shownPlace({ url: config.DATABASE_URL })
      } already, and an SQLite database is what can be copied. Unset it, set DB_PATH to that, and run this again.`,
    );
  }
  await refuseRunning(redisUrlOf(config), config.QUEUE_PATH);
  const [path, url] = [config.DB_PATH, target.data!];
  const documents = await keptDocuments(`${config.DATA_DIR}/state`);
  const bar = new ProgressBar();
  let last = "";
  try {
    const copy = await copyStore({
      path,
      url,
      documents,
      progress(step, table, done, total) {
        const actor = `${step === "copy" ? "copying" : "comparing"} ${table}`;
        if (isTerminal) bar.show(actor, { done, total, unit: "rows" });
        else if (actor !== last) say(`${actor}, ${total} rows`);
        last = actor;
      },
    });
    bar.clear();
    say(summaryOf(copy, path, shownPlace({ url })));
    return EXIT.ok;
  } catch (error) {
    bar.clear();
    if (error instanceof TransientError) {
      complain("Nothing was kept. Once the reason below is gone, run this again.");
    }
    throw error;
  }
}

function summaryOf({ isNew, tables }: Copy, path: string, place: string): string {
  const rows = tables.reduce((sum, [, rows]) => sum + rows, 0);
  const runs = tables.find(([table]) => table === "etl_runs")?.[1] ?? 0;
  const what = `${runs} runs, ${rows} rows in ${tables.length} tables`;
  return isNew
    ? `Copied ${path} to ${place} and compared it: ${what}. Now set DATABASE_URL to it for all services and start them; ` +
      `deno task verify --run latest looks at the newest run there. Keep ${path} until then.`
    : `${place} is a copy of ${path} already, and the same: ${what}. Nothing was changed.`;
}

/** @throws Error if a service has recently sent a beat: it would continue to write to the copied database. */
async function refuseRunning(redisUrl: string | undefined, queuePath: string): Promise<void> {
  await using channel = await openChannel({ redisUrl, queuePath });
  const alive = (await channel.beats()).filter((beat) => isAlive(beat));
  if (alive.length === 0) return;
  const names = [...new Set(alive.map(({ actor, host, pid }) => `${actor} (process ${pid} on ${host})`))];
  throw new Error(
    `Cannot copy while services run: ${names.join(", ")}. Stop them, and run this again; ` +
      `one that was killed counts as running for ${ALIVE_MS / 1_000} s.`,
  );
}

async function keptDocuments(folder: string): Promise<[name: string, text: string][]> {
  const documents = new LocalDocuments(folder);
  const found: [string, string][] = [];
  for await (const listed of documents.list(".")) {
    const name = listed.slice("./".length);
    const text = KEPT.test(name) ? await documents.read(name) : undefined;
    if (text !== undefined) found.push([name, text]);
  }
  return found.sort(([a], [b]) => a < b ? -1 : 1);
}

if (import.meta.main) await runCommand({ help: HELP, options: OPTIONS }, main);
