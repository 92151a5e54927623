/**
 * `deno task test [PATH…] [flags of deno test]`: installs what is missing, and tests several files at a time. Missing
 * programs are installed through apt on Debian and Ubuntu, as root or if `sudo -n` works; `ETL_TEST_INSTALL=no`
 * prevents it. Tests whose programs are still missing are ignored and listed at the end; with `CI=true` a missing
 * program is a failure. Types are checked by `deno check`, which includes tests.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { canInstall, installPackages } from "../tests/support/install.ts";
import { ABSENT_FILE, PACKAGES, placeOf, type Program } from "../tests/support/needs.ts";
import { CLUSTERS } from "../tests/support/postgres.ts";

const FLAGS = [
  "--no-prompt",
  "--no-check",
  "--parallel",
  "--sanitize-ops",
  "--sanitize-resources",
  ...["--allow-read", "--allow-write", "--allow-net", "--allow-env", "--allow-run", "--allow-sys"],
];

/**
 * Files that are tested at a time (variable DENO_JOBS): twice as many as there are processors, as most tests wait for
 * services and servers.
 */
const JOBS = Math.min(2 * availableParallelism(), 8);

/** The files that take longest. They are started first, so that none of them runs alone at the end. */
export const LONGEST = [
  "saver/delivery/sftp_test.ts",
  "saver/reconcile_test.ts",
  "tests/pipeline/crash_test.ts",
  "tests/pipeline/another_extractor_test.ts",
  "tests/drill/quick_test.ts",
  "tests/pipeline/upgrade_test.ts",
  "tests/dashboard/dashboard_test.ts",
  "tests/dashboard/pages_test.ts",
  "tests/dashboard/look_test.ts",
  "tests/dashboard/repair_test.ts",
  "tests/dashboard/etl_test.ts",
  "shared/files/s3/faults_test.ts",
  "tests/conformance/files_test.ts",
  "tests/conformance/store_test.ts",
  "shared/store/copy_test.ts",
  "shared/store/sqlite/current_order_test.ts",
  "shared/store/postgres/current_order_test.ts",
  "saver/delivery/connection_test.ts",
  "saver/retention_test.ts",
  "extractor/another_machine_test.ts",
];

const say = (line: string) => void Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));

const missing = () => (Object.keys(PACKAGES) as Program[]).filter((name) => placeOf(name) === undefined);

const packagesOf = (programs: readonly Program[]) => [...new Set(programs.map((name) => PACKAGES[name]))];

async function install(programs: readonly Program[]): Promise<void> {
  if (programs.length === 0 || Deno.env.get("ETL_TEST_INSTALL") === "no") return;
  if (!(await canInstall())) return;
  const packages = packagesOf(programs);
  say(
    `Tests use programs that are missing here: ${programs.join(", ")}. ` +
      `Installing with apt-get: ${packages.join(" ")} (ETL_TEST_INSTALL=no prevents this).`,
  );
  if (!(await installPackages(packages))) say("apt-get failed; its output is above.");
}

/** Whether the `--filter` of `args`, a text or a `/pattern/`, selects a test of this name. */
function isWanted(name: string, args: readonly string[]): boolean {
  const { values: { filter } } = parseArgs({
    args: [...args],
    options: { filter: { type: "string" } },
    strict: false,
  });
  if (typeof filter !== "string") return true;
  const [, pattern] = /^\/(.*)\/$/s.exec(filter) ?? [];
  return pattern === undefined ? name.includes(filter) : new RegExp(pattern).test(name);
}

/** The files to test: those that `args` name, or all. */
function pathsOf(args: readonly string[]): string[] {
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true, strict: false });
  return positionals.length > 0 ? [] : [...LONGEST, "."];
}

/** A line for each missing program: how many tests were ignored without it, and how to install it. */
async function report(file: string, args: readonly string[]): Promise<void> {
  const lines = (await Deno.readTextFile(file)).split("\n").filter((line) => line !== "");
  const ignored = lines.map((line): { name: string; missing: Program[] } => JSON.parse(line))
    .filter(({ name }) => isWanted(name, args));
  if (ignored.length === 0) return;
  say(`\n${ignored.length} test(s) did not run, as programs are missing:`);
  for (const program of new Set(ignored.flatMap(({ missing }) => missing))) {
    const count = ignored.filter(({ missing }) => missing.includes(program)).length;
    say(`  ${program}: needed by ${count} test(s); on Debian: apt-get install ${PACKAGES[program]}`);
  }
}

async function main(args: string[]): Promise<number> {
  await install(missing());
  const absent = missing();
  if (absent.length > 0 && Deno.env.get("CI") === "true") {
    say(
      `Cannot run the tests: with CI=true nothing may be missing, but these programs are: ${
        absent.join(", ")
      }.`,
    );
    say(`On Debian: apt-get install ${packagesOf(absent).join(" ")}`);
    return 1;
  }
  const folder = await Deno.makeTempDir({ prefix: "tests-" });
  await Deno.chmod(folder, 0o755); // a server may run as another user
  const file = `${folder}/absent`;
  await Deno.writeTextFile(file, "");
  try {
    const tests = new Deno.Command(Deno.execPath(), {
      args: ["test", ...FLAGS, ...args, ...pathsOf(args)],
      env: { DENO_JOBS: Deno.env.get("DENO_JOBS") ?? String(JOBS), [ABSENT_FILE]: file, [CLUSTERS]: folder },
    }).spawn();
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => tests.kill(signal));
    }
    const { code } = await tests.status;
    await report(file, args);
    return code;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
