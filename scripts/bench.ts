/**
 * `deno task bench`: measures everything on this machine, the pipeline and the machine's own tools in turn. Needs
 * Linux, and curl, jq, sqlite3, redis-server, PostgreSQL, OpenSSH's sftp and sshd, rclone and Swift; `TMPDIR` with
 * about 12 GB for a million users.
 */
import { arch, cpus, loadavg, release, totalmem } from "node:os";
import { resolve } from "node:path";
import { type CommandLine, EXIT, numberOf, runCommand, say, UsageError } from "../cli/command_line.ts";
import { BenchEnvironment, type Scale } from "./bench/environment.ts";
import { api, apiPostgres } from "./bench/rows/api.ts";
import { loadPostgres } from "./bench/rows/load_postgres.ts";
import { current } from "./bench/rows/current.ts";
import { deliver } from "./bench/rows/deliver.ts";
import { endToEnd } from "./bench/rows/end_to_end.ts";
import { extract } from "./bench/rows/extract.ts";
import { growth } from "./bench/rows/growth.ts";
import { idle } from "./bench/rows/idle.ts";
import { load } from "./bench/rows/load.ts";
import { queue } from "./bench/rows/queue.ts";
import { transform } from "./bench/rows/transform.ts";
import { store } from "./bench/rows/store.ts";
import { type Result, type Row, sentence, table } from "./bench/table.ts";

/** In the order in which they run. */
const ROWS: readonly Row[] = [
  extract,
  transform,
  load,
  loadPostgres,
  current,
  deliver,
  endToEnd,
  store,
  queue,
  idle,
  growth,
  api,
  apiPostgres,
];

const HELP = `deno task bench [--rows NAME,…] [--users N] [--turns N] [--quick] [--json FILE] [--profile DIR]

Measures each phase against the machine's own tools, in turn.
  --rows      some of ${ROWS.map(({ name }) => name).join(", ")}
  --users     users of the rows that compare, a multiple of 1000; default 100000
  --turns     how often each comparison is made; default 5
  --quick     10000 users, 3 turns
  --json      writes all figures to a file
  --profile   writes what each service spends its CPU time on to a folder
Exit codes: 0 measured, whether a target holds or not; 1 something failed; 2 a command line that can't be used.`;

const OPTIONS = {
  rows: { type: "string" },
  users: { type: "string" },
  turns: { type: "string" },
  quick: { type: "boolean", default: false },
  json: { type: "string" },
  profile: { type: "string" },
} as const;

function rowNamed(name: string): Row {
  const row = ROWS.find((row) => row.name === name);
  if (row !== undefined) return row;
  throw new UsageError(
    `Cannot measure ${JSON.stringify(name)}: wanted ${ROWS.map(({ name }) => name).join(", ")}.`,
  );
}

/**
 * The machine of the measurement; `load` is the average of the last 15 minutes, the benchmark's own 1 to 3 included.
 */
function machine(): Record<string, string | number> {
  const processors = cpus();
  return {
    at: new Date().toISOString(),
    processor: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memory_gb: Math.round(totalmem() / 1e9),
    system: `${Deno.build.os} ${release()} ${arch()}`,
    deno: Deno.version.deno,
    load: Math.round(loadavg()[2]! * 10) / 10,
  };
}

async function bench({ values }: CommandLine<typeof OPTIONS>): Promise<number> {
  const { quick } = values;
  const users = numberOf("users", values.users ?? (quick ? "10000" : "100000"), { min: 1000 });
  if (users % 1000 !== 0) throw new UsageError(`--users is ${users}, wanted a multiple of 1000.`);
  const turns = numberOf("turns", values.turns ?? (quick ? "3" : "5"), { min: 1 });
  const scale: Scale = { users, turns, quick, profile: values.profile && resolve(values.profile) };
  const rows = values.rows?.split(",").map(rowNamed) ?? ROWS;
  const json = values.json && resolve(values.json);
  const results: (Result & { row: string })[] = [];
  {
    await using environment = await BenchEnvironment.open(scale);
    for (const row of rows) {
      for await (const result of row.measure(environment)) {
        say(sentence(result));
        results.push({ row: row.name, ...result });
      }
    }
  }
  const on = machine();
  say(`\n${on.cores} cores, ${on.processor}, ${users} users, ${turns} turns\n\n${table(results)}`);
  if (json) {
    await Deno.writeTextFile(json, `${JSON.stringify({ machine: on, scale, results }, null, 2)}\n`);
  }
  return EXIT.ok;
}

if (import.meta.main) await runCommand({ help: HELP, options: OPTIONS }, bench);
