/**
 * `deno task test [PATH…] [flags of deno test]`: runs the tests, and sets up what they need first. Programs that are missing are installed through
 * apt on Debian and Ubuntu, as root or where `sudo -n` works; `ETL_TEST_INSTALL=no` prevents it. Tests whose programs are still missing are ignored
 * and listed at the end; with `CI=true` a missing program is a failure.
 *
 * @module
 */
import { ABSENT_FILE, PACKAGES, placeOf, type Program } from "../tests/support/needs.ts";

const FLAGS = [
  "--no-prompt",
  "--sanitize-ops",
  "--sanitize-resources",
  ...["--allow-read", "--allow-write", "--allow-net", "--allow-env", "--allow-run", "--allow-sys"],
];

/** The packages' own services must not start: tests start what they need, on free ports. */
const INSTALL = `set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' >"$policy"
  chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
`;

const say = (line: string) => void Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));

const missing = () => (Object.keys(PACKAGES) as Program[]).filter((name) => placeOf(name) === undefined);

const packagesOf = (programs: readonly Program[]) => [...new Set(programs.map((name) => PACKAGES[name]))];

async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stdin: "null", stderr: "inherit" }).output()).success;
  } catch {
    return false; // no such command
  }
}

/** The command that becomes root; empty for root, undefined where neither works. */
async function becomingRoot(): Promise<string[] | undefined> {
  if (Deno.uid() === 0) return [];
  if (placeOf("sudo") === undefined) return undefined;
  const { success } = await new Deno.Command("sudo", { args: ["-n", "true"], stderr: "null" }).output();
  return success ? ["sudo", "-n"] : undefined;
}

async function install(programs: readonly Program[]): Promise<void> {
  if (programs.length === 0 || Deno.env.get("ETL_TEST_INSTALL") === "no") return;
  const root = placeOf("apt-get") === undefined ? undefined : await becomingRoot();
  if (root === undefined) return;
  const packages = packagesOf(programs);
  say(
    `Tests use programs that are missing here: ${programs.join(", ")}. ` +
      `Installing with apt-get: ${packages.join(" ")} (ETL_TEST_INSTALL=no prevents this).`,
  );
  const [command, ...args] = [...root, "sh", "-c", INSTALL, "sh", ...packages];
  if (!(await succeeds(command!, ...args))) say("apt-get failed; its output is above.");
}

/** A line for each missing program: how many tests it kept from running, and how to install it. */
async function report(file: string): Promise<void> {
  const ignored = (await Deno.readTextFile(file)).split("\n").filter((line) => line !== "");
  if (ignored.length === 0) return;
  say(`\n${ignored.length} test(s) did not run, as programs are missing:`);
  const names = new Set(ignored.flatMap((line) => line.split(" ")) as Program[]);
  for (const name of names) {
    const count = ignored.filter((line) => line.split(" ").includes(name)).length;
    say(`  ${name}: needed by ${count} test(s); on Debian: apt-get install ${PACKAGES[name]}`);
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
  const file = await Deno.makeTempFile({ prefix: "absent-" });
  try {
    const tests = new Deno.Command(Deno.execPath(), {
      args: ["test", ...FLAGS, ...args],
      env: { [ABSENT_FILE]: file },
    }).spawn();
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => tests.kill(signal));
    }
    const { code } = await tests.status;
    await report(file);
    return code;
  } finally {
    await Deno.remove(file);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
