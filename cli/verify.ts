import { loadConfig } from "../shared/config/config.ts";
import { filesPlaceOf, storePlaceOf } from "../shared/config/variables.ts";
import { openFiles } from "../shared/files/open.ts";
import { loadPipelines, pipelinesDir } from "../shared/pipeline/load.ts";
import { readFeeds } from "../transformer/feeds.ts";
import { type CommandLine, complain, EXIT, print, runCommand, say, UsageError } from "./command_line.ts";
import { readEnvironment } from "./env_file.ts";
import { type Environment, VARIABLES } from "./services.ts";
import type { ReadStore } from "../shared/store/store.ts";
import { differs, equal, type Finding, finding, isFine, type Item, skipped } from "./verify/finding.ts";
import { verifyRun } from "./verify/run.ts";
import { lazyServer } from "./verify/server.ts";
import { openStoreToRead, shownPlace } from "../shared/store/open.ts";
import type { RunRow } from "../shared/store/rows.ts";
import { runPages } from "../shared/store/run_pages.ts";
import type { Runs } from "../shared/store/store.ts";

const HELP = `deno task verify --run ID|latest|all [--json]

Compares a run's local files, records, deliveries and copies on the SFTP server with what was recorded, and makes the
transformation again. Changes nothing.
  --json   one JSON object for each comparison
Exit codes: 0 nothing is wrong; 1 something is; 2 a command or configuration that can't be used.`;

const OPTIONS = { run: { type: "string" }, json: { type: "boolean", default: false } } as const;

async function main({ values: { run: which, json } }: CommandLine<typeof OPTIONS>): Promise<number> {
  if (!which) throw new UsageError(`Which run? ${HELP.split("\n", 1)[0]}`);
  const env: Environment = await readEnvironment();
  const config = loadConfig("verify", VARIABLES.saver, env);
  const { LOOKUP_FILE: lookupFile, PIPELINES_DIR } = loadConfig("verify", VARIABLES.transformer, env);
  const dir = pipelinesDir(PIPELINES_DIR);
  const log = { error: () => {} }; // each run reports its own problem
  const feedOf = await readFeeds(await loadPipelines(dir), { dir, lookupFile, log });
  await using resources = new AsyncDisposableStack();
  const store = await openStoreToRead(storePlaceOf(config));
  if (store === undefined) {
    complain(
      `There is no database at ${
        shownPlace(storePlaceOf(config))
      } yet, so there is nothing to verify. Start a run first.`,
    );
    return EXIT.failed;
  }
  resources.use(store);
  const files = openFiles(filesPlaceOf(config));
  const server = lazyServer(env, resources);

  let [runs, wrong] = [0, 0];
  const newest = new Map<string, string>(); // pipeline -> its newest run
  const tell = (item: Item) => {
    if (json) print(item);
    else say(lineOf(item));
    if (!isFine(item)) wrong += 1;
  };
  for await (const run of chosen(store.runs, which)) {
    if (!json) say(`run ${run.run_id}, ${run.status}, requested at ${run.run_timestamp}`);
    for await (const item of verifyRun(run, { store, files, feedOf, server })) tell(item);
    if (!newest.has(run.pipeline)) newest.set(run.pipeline, run.run_id);
    runs += 1;
  }
  for (const [pipeline, run_id] of newest) {
    if (!json) say(`current state of ${pipeline}`);
    tell({
      run_id,
      place: "current",
      file: "state",
      ...await finding(() => currentState(store, pipeline)),
    });
  }
  if (runs === 0) complain("No run has been loaded yet, so there is nothing to verify. Start a run first.");
  else if (!json) {
    const checked = `Checked ${runs} ${runs === 1 ? "run" : "runs"}:`;
    say(
      wrong === 0
        ? `${checked} everything matches.`
        : `${checked} ${wrong} ${
          wrong === 1 ? "difference" : "differences"
        }, each marked above with what to do.`,
    );
  }
  return runs > 0 && wrong === 0 ? EXIT.ok : EXIT.failed;
}

async function* chosen(runs: Runs, which: string): AsyncGenerator<RunRow> {
  if (which === "latest") {
    yield* await runs.page({ loaded: true }, { limit: 1 });
  } else if (which === "all") {
    for await (const page of runPages(runs, { loaded: true })) yield* page;
  } else {
    const run = await runs.byRunId(which.toLowerCase()) ??
      (/^\d+$/.test(which) ? await runs.byId(Number(which)) : undefined);
    if (run === undefined) {
      throw new UsageError(
        `--run is ${
          JSON.stringify(which)
        }, which is not the id of any run; wanted a run's id, latest or all.`,
      );
    }
    yield run;
  }
}

/** Compares the current state of a pipeline with the stored runs. */
async function currentState(store: ReadStore, pipeline: string): Promise<Finding> {
  if (!(await store.current.pipelines()).includes(pipeline)) return skipped("the pipeline keeps none");
  const problems = await store.problemsOfCurrent(pipeline);
  if (problems.length > 0) {
    return differs(`${problems.join("; ")}. The database was changed from outside; restore a backup of it.`);
  }
  return equal(`${await store.current.count(pipeline)} keys, as the kept runs say`);
}

function lineOf({ place, file, result, detail }: Item): string {
  return `  ${place.padEnd(10)} ${file.padEnd(9)} ${result.padEnd(8)} ${detail}`;
}

if (import.meta.main) await runCommand({ help: HELP, options: OPTIONS }, main);
