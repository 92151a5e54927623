/**
 * `deno run local/source.ts [--users 208] [--bad 0] [--seed 1] [--delay-ms 0] [--port 0] [--host 127.0.0.1]`: the sample source, until Ctrl-C.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { type SourceOptions, startSource } from "./source/server.ts";

export {
  type Handler,
  type RunningSource,
  sampleSource,
  type SourceOptions,
  startSource,
} from "./source/server.ts";

/**
 * Reads the command line.
 *
 * @throws Error naming the option, its value and what was wanted.
 */
export function sourceOptions(args: string[]): SourceOptions {
  const { values } = parseArgs({
    args,
    options: {
      users: { type: "string", default: "208" },
      bad: { type: "string", default: "0" },
      seed: { type: "string", default: "1" },
      "delay-ms": { type: "string", default: "0" },
      port: { type: "string", default: "0" },
      host: { type: "string", default: "127.0.0.1" },
    },
  });
  const number = (name: Exclude<keyof typeof values, "host">, max: number, whole = true): number => {
    const value = Number(values[name]);
    if (values[name] !== "" && value >= 0 && value <= max && (!whole || Number.isInteger(value))) {
      return value;
    }
    throw new Error(
      `Cannot start the sample source: --${name} is ${JSON.stringify(values[name])}, wanted a ${
        whole ? "whole " : ""
      }number from 0 to ${max}.`,
    );
  };
  return {
    users: number("users", 100_000_000),
    bad: number("bad", 1, false),
    seed: number("seed", 1_000_000),
    delayMs: number("delay-ms", 3_600_000),
    port: number("port", 65_535),
    host: values.host,
  };
}

async function main(args: string[]): Promise<number> {
  const say = (out: typeof Deno.stdout | typeof Deno.stderr, line: string) =>
    out.write(new TextEncoder().encode(`${line}\n`));
  let options: SourceOptions;
  try {
    options = sourceOptions(args);
  } catch (error) {
    await say(Deno.stderr, error instanceof Error ? error.message : String(error));
    return 2;
  }
  await using source = await startSource(options);
  const stop = () => void source.close();
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, stop);
  await say(Deno.stdout, `Sample source: ${source.url} (${source.users} users)`);
  await source.finished;
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
