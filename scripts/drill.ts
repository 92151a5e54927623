import { type CommandLine, EXIT, numberOf, runCommand, say, UsageError } from "../cli/command_line.ts";
import { messageOf } from "../shared/errors/errors.ts";
import { CASES } from "../tests/drill/cases.ts";
import { type DrillCase, Skip } from "../tests/drill/case.ts";
import { DrillEnvironment } from "../tests/drill/environment.ts";
import { playOnMachines } from "../tests/machines/play.ts";
import { runInWorld, whyNoWorld, worldFolder } from "../tests/machines/world.ts";
import { startSharing } from "../tests/support/engines.ts";
import { placeOf } from "../tests/support/needs.ts";
import { rackRows } from "../tests/rack/rack.ts";

const HELP = `deno task drill [--case NAME]… [--quick] [--repeats N|few] [--jobs N]
deno task drill --rack
deno task drill --machines [--quick] [--faults N] [--seed S]

  --case      this case alone, or those whose names begin so; can be given more than once
  --quick     the cases that deno task test runs too
  --repeats   the share, in percent, of what can be repeated; default 100, few is 3
  --rack      only the sources of tests/rack: the outcome of a run of each, uninterrupted, stopped after and killed at each page
  --jobs      how many cases run at the same time; default 2
  --machines  a pipeline on 14 machines, as network namespaces, that are killed, cut off and stopped at random
  --faults    how many such faults; default 100, with --quick 8
  --seed      of what is chosen at random; default a new one, which is shown
Exit codes: 0 nothing was lost, duplicated or went wrong; 1 something was, or it was interrupted; 2 a command line that can't be used.`;

const OPTIONS = {
  case: { type: "string", multiple: true },
  quick: { type: "boolean", default: false },
  rack: { type: "boolean", default: false },
  repeats: { type: "string", default: "100" },
  jobs: { type: "string", default: "2" },
  machines: { type: "boolean", default: false },
  faults: { type: "string" },
  seed: { type: "string" },
} as const;

interface Result {
  readonly drill: DrillCase;
  readonly verdict: "held" | "broken" | "skipped";
  /** The case's cells of the table, after the fault. */
  readonly cells: readonly string[];
  readonly failure?: string;
}

/** The permissions of the task. */
const PERMISSIONS = ["read", "write", "net", "env", "run", "sys"].map((name) => `--allow-${name}`);

const FEW = 3;
const WIDTHS = [30, 60, 8, 8, 10] as const;

const row = (...cells: string[]) =>
  say(cells.map((cell, i) => i < 2 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!)).join(" | "));

async function main({ values }: CommandLine<typeof OPTIONS>): Promise<number> {
  if (values.rack) {
    let isRight = true;
    for await (const { text, isAllowed } of rackRows()) {
      say(text);
      isRight &&= isAllowed;
    }
    return isRight ? EXIT.ok : EXIT.failed;
  }
  if (values.machines) return await onMachines(values);
  const percent = values.repeats === "few" ? FEW : Number(values.repeats);
  if (!(percent > 0 && percent <= 100)) {
    throw new UsageError(
      `--repeats is ${JSON.stringify(values.repeats)}, wanted a percentage up to 100, or few.`,
    );
  }
  const jobs = numberOf("jobs", values.jobs, { min: 1 });
  const isCalled = (wanted: string) => ({ name }: DrillCase) =>
    name === wanted || name.startsWith(`${wanted}-`);
  for (const name of values.case ?? []) {
    if (CASES.some(isCalled(name))) continue;
    throw new UsageError(
      `There is no case ${JSON.stringify(name)}. Known: ${CASES.map((drill) => drill.name).join(", ")}.`,
    );
  }
  const wanted = CASES.filter((drill) =>
    (values.case?.some((name) => isCalled(name)(drill)) ?? true) && (!values.quick || drill.quick)
  );
  await using _server = wanted.some(needsPostgres) ? await startSharing() : undefined;
  let brokenOff = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // running cases then fail, and clean up
    Deno.addSignalListener(signal, () => {
      brokenOff = true;
      void DrillEnvironment.closeAll();
    });
  }
  row("fault", "what happened", "lost", "twice", "recovered");
  row(...WIDTHS.map((width) => "-".repeat(width)));
  const results: Result[] = [];
  const left = wanted.values();
  await Promise.all(Array.from({ length: jobs }, async () => {
    for (const drill of left) {
      if (brokenOff) break;
      const result = await perform(drill, percent / 100);
      results.push(result);
      row(`${drill.name}: ${drill.fault}`, ...result.cells);
    }
  }));
  const count = (wanted: Result["verdict"]) => results.filter(({ verdict }) => verdict === wanted).length;
  say(`\n${count("held")} held, ${count("broken")} broken, ${count("skipped")} skipped`);
  for (const { drill, failure } of results) if (failure !== undefined) say(`\n${drill.name}: ${failure}`);
  return count("broken") === 0 && !brokenOff ? EXIT.ok : EXIT.failed;
}

/** Runs the drill of several machines in an isolated environment, as another process of this program. */
async function onMachines({ quick, ...values }: CommandLine<typeof OPTIONS>["values"]): Promise<number> {
  const world = worldFolder();
  if (world === undefined) {
    const why = await whyNoWorld();
    if (why === undefined) return await runInWorld(PERMISSIONS, Deno.args);
    say(`Skipped the drill on machines: ${why}.`);
    return quick ? EXIT.ok : EXIT.failed;
  }
  const faults = numberOf("faults", values.faults ?? (quick ? "8" : "100"), { min: 1 });
  const seed = numberOf("seed", values.seed ?? String(Math.floor(Math.random() * 1e6)), { max: 2 ** 32 });
  return await playOnMachines({ faults, seed, world, say }) ? EXIT.ok : EXIT.failed;
}

/** Whether a case needs PostgreSQL, and this machine has it. */
const needsPostgres = ({ usesPostgres }: DrillCase) => usesPostgres && placeOf("postgres") !== undefined;

async function perform(drill: DrillCase, repeats: number): Promise<Result> {
  try {
    if (drill.usesPostgres && !needsPostgres(drill)) throw new Skip("this machine has no PostgreSQL server");
    const { happened, lost, twice, recoveredMs } = await drill.run(repeats);
    const cells = [happened, `${lost}`, `${twice}`, `${(recoveredMs / 1000).toFixed(1)} s`];
    return { drill, verdict: lost > 0 || twice > 0 ? "broken" : "held", cells };
  } catch (error) {
    if (error instanceof Skip) {
      return { drill, verdict: "skipped", cells: [`skipped: ${messageOf(error)}`, "-", "-", "-"] };
    }
    const failure = error instanceof Error ? error.stack ?? error.message : String(error);
    const cells = [`BROKEN: ${failure.split("\n", 1)[0]}`, "?", "?", "-"];
    return { drill, verdict: "broken", cells, failure };
  }
}

if (import.meta.main) await runCommand({ help: HELP, options: OPTIONS }, main);
