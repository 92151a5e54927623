/**
 * `deno task verify --run ID|latest|all [--json]`: compares what a run left behind with what was recorded: local files, records in the database,
 * deliveries, the files on the SFTP server (read back), and the transform made again. A line for each: equal, or what differs and what to do.
 * Changes nothing. Exit codes: 0 nothing is wrong, 1 something is, 2 usage or configuration that can't be used.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { configure } from "@logtape/logtape";
import { loadConfig } from "../shared/config/config.ts";
import { ConfigError, messageOf } from "../shared/errors/errors.ts";
import { Files } from "../shared/files/files.ts";
import { openStoreReadOnly } from "../shared/store/sqlite/open.ts";
import type { RunCursor, RunRow, Runs } from "../shared/store/sqlite/runs.ts";
import { readDepartments } from "../transformer/lookup.ts";
import { readEnvironment } from "./env_file.ts";
import { type Environment, VARIABLES } from "./services.ts";
import { isFine, type Item } from "./verify/finding.ts";
import { verifyRun } from "./verify/run.ts";
import { lazyServer } from "./verify/server.ts";

const encoder = new TextEncoder();
const say = (line: string) => void Deno.stdout.writeSync(encoder.encode(`${line}\n`));
const complain = (line: string) => void Deno.stderr.writeSync(encoder.encode(`${line}\n`));

/** Runs whose rows are held at once. */
const RUNS_AT_ONCE = 100;

async function main(args: string[], env: Environment): Promise<number> {
  const { run: which, json } = optionsOf(args);
  const config = loadConfig("verify", VARIABLES.saver, env);
  const { LOOKUP_FILE } = loadConfig("verify", VARIABLES.transformer, env);
  const lookup = await readDepartments(LOOKUP_FILE);
  await using resources = new AsyncDisposableStack();
  const store = openStoreReadOnly(config.DB_PATH, { maskFields: config.MASK_FIELDS });
  if (store === undefined) {
    complain(
      `There is no database at ${config.DB_PATH} yet, so there is nothing to verify. Start a run first.`,
    );
    return 1;
  }
  resources.use(store);
  const files = new Files(config.DATA_DIR);
  const server = lazyServer(env, resources);

  let [runs, wrong] = [0, 0];
  for (const run of chosen(store.runs, which)) {
    if (!json) say(`run ${run.run_id}, ${run.status}, asked for at ${run.run_timestamp}`);
    for await (const item of verifyRun(run, { store, files, lookup, server })) {
      say(json ? JSON.stringify(item) : lineOf(item));
      if (!isFine(item)) wrong += 1;
    }
    runs += 1;
  }
  if (runs === 0) complain("No run has been loaded yet, so there is nothing to verify. Start a run first.");
  else if (!json) {
    say(wrong === 0 ? `${runs} run(s): nothing is wrong` : `${runs} run(s): ${wrong} thing(s) need you`);
  }
  return runs > 0 && wrong === 0 ? 0 : 1;
}

function optionsOf(args: string[]): { run: string; json: boolean } {
  const usage = "wanted --run ID, --run latest or --run all, and --json for one JSON object a line";
  try {
    const { values } = parseArgs({
      args,
      options: { run: { type: "string" }, json: { type: "boolean", default: false } },
    });
    if (values.run) return { run: values.run, json: values.json };
  } catch (error) {
    throw new ConfigError("verify", [`${messageOf(error)}; ${usage}`]);
  }
  throw new ConfigError("verify", [usage]);
}

function* chosen(runs: Runs, which: string): Generator<RunRow> {
  if (which === "latest") {
    yield* runs.page({ loaded: true }, { limit: 1 });
  } else if (which === "all") {
    let after: RunCursor | undefined;
    for (;;) {
      const page = runs.page({ loaded: true }, { limit: RUNS_AT_ONCE, after });
      yield* page;
      if (page.length < RUNS_AT_ONCE) return;
      after = page.at(-1);
    }
  } else {
    const run = runs.byRunId(which.toLowerCase()) ??
      (/^\d+$/.test(which) ? runs.byId(Number(which)) : undefined);
    if (run === undefined) {
      throw new ConfigError("verify", [
        `--run is ${JSON.stringify(which)}, which no run has as its id; wanted a run's id, latest or all`,
      ]);
    }
    yield run;
  }
}

function lineOf({ place, file, result, detail }: Item): string {
  return `  ${place.padEnd(10)} ${file.padEnd(9)} ${result.padEnd(8)} ${detail}`;
}

if (import.meta.main) {
  await configure({
    sinks: {},
    loggers: [{ category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" }],
    reset: true,
  });
  try {
    Deno.exit(await main(Deno.args, await readEnvironment()));
  } catch (error) {
    complain(messageOf(error));
    Deno.exit(error instanceof ConfigError ? 2 : 1);
  }
}
