/**
 * `deno task bench`: measures everything on the machine it is on, ours and the machine's own tools in turn.
 *
 *     deno task bench [--rows extract,load] [--users 100000] [--turns 5] [--quick] [--json FILE] [--svg FILE] [--profile DIR]
 *
 * Needs Linux, and curl, jq, sqlite3, redis-server and OpenSSH's sftp and sshd; `TMPDIR` with about 12 GB for a million users. Exit codes:
 * 0 measured, 1 something failed, 2 a command line that can't be used. A missed target is no failure: the table says it.
 *
 * @module
 */
import { arch, cpus, loadavg, release, totalmem } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { configure } from "@logtape/logtape";
import { messageOf } from "../shared/errors/errors.ts";
import { chart } from "./bench/chart.ts";
import type { Result, Row } from "./bench/row.ts";
import { ROWS } from "./bench/rows.ts";
import { sentence, table } from "./bench/table.ts";
import { BenchEnvironment, type Scale } from "./bench/environment.ts";

const encoder = new TextEncoder();
const say = (line: string) => void Deno.stdout.writeSync(encoder.encode(`${line}\n`));
const complain = (line: string) => void Deno.stderr.writeSync(encoder.encode(`${line}\n`));

interface Order {
  readonly scale: Scale;
  readonly rows: readonly Row[];
  readonly json: string | undefined;
  readonly svg: string | undefined;
}

/** Reads the command line. @throws Error naming the option, its value and what was wanted. */
function orderOf(args: string[]): Order {
  const { values } = parseArgs({
    args,
    options: {
      rows: { type: "string" },
      users: { type: "string" },
      turns: { type: "string" },
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      svg: { type: "string" },
      profile: { type: "string" },
    },
  });
  const { quick } = values;
  return {
    scale: {
      users: wholeNumber("users", values.users ?? (quick ? "10000" : "100000"), 1_000),
      turns: wholeNumber("turns", values.turns ?? (quick ? "3" : "5"), 1),
      quick,
      profile: values.profile && resolve(values.profile),
    },
    rows: values.rows === undefined ? ROWS : values.rows.split(",").map(rowNamed),
    json: values.json && resolve(values.json),
    svg: values.svg && resolve(values.svg),
  };
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value % least === 0) return value;
  throw new Error(
    `Cannot use --${name} ${JSON.stringify(text)}: wanted a whole number${
      least > 1 ? `, a multiple of ${least}` : " from 1"
    }.`,
  );
}

function rowNamed(name: string): Row {
  const row = ROWS.find((row) => row.name === name);
  if (row !== undefined) return row;
  throw new Error(
    `Cannot measure ${JSON.stringify(name)}: wanted ${ROWS.map(({ name }) => name).join(", ")}.`,
  );
}

/** What the figures were measured on; `load` is the average of the last 15 minutes, the benchmark's own 1 to 3 included. */
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

async function bench({ scale, rows, json, svg }: Order): Promise<void> {
  const results: (Result & { row: string })[] = [];
  {
    await using environment = await BenchEnvironment.open(scale, say);
    for (const row of rows) {
      for await (const result of row.measure(environment)) {
        say(sentence(result));
        results.push({ row: row.name, ...result });
      }
    }
  }
  const on = machine();
  say(
    `\n${on.cores} cores, ${on.processor}, ${scale.users} users, ${scale.turns} turns\n\n${table(results)}`,
  );
  if (json !== undefined) {
    await Deno.writeTextFile(json, `${JSON.stringify({ machine: on, scale, results }, null, 2)}\n`);
  }
  if (svg !== undefined) await Deno.writeTextFile(svg, chart(results, on));
}

if (import.meta.main) {
  await configure({
    sinks: {},
    loggers: [{ category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" }],
  });
  let order: Order;
  try {
    order = orderOf(Deno.args);
  } catch (error) {
    complain(messageOf(error));
    Deno.exit(2);
  }
  try {
    await bench(order);
  } catch (error) {
    complain(messageOf(error));
    Deno.exit(1);
  }
  Deno.exit(0);
}
