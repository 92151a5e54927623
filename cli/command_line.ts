/** The frame of every command: its arguments, its output, and its exit code. */
import { parseArgs, type ParseArgsOptionsConfig, stripVTControlCharacters } from "node:util";
import { configure } from "@logtape/logtape";
import { ConfigError, messageOf } from "../shared/errors/errors.ts";

export const EXIT = {
  ok: 0,
  /** The work failed, or a check found a problem. */
  failed: 1,
  /** The command line or the configuration is unusable. */
  usage: 2,
  /** The API is unreachable, or requires a token. */
  unreachable: 3,
} as const;

export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/** The error for an unknown pipeline name. `place` says where it was looked up, and `more` adds further information. */
export function unknownPipeline(name: string, known: readonly string[], place = "", more = ""): UsageError {
  const there = known.join(", ") || "none";
  return new UsageError(`There is no pipeline ${JSON.stringify(name)}${place}. Known: ${there}.${more}`);
}

interface Accepts<O extends ParseArgsOptionsConfig> {
  /** What `--help` prints: `deno task NAME [--option]…`, then a description. */
  readonly help: string;
  readonly options?: O;
  /** Maximum number of words besides the options; default none. */
  readonly words?: number;
  /** Default: those of this process. */
  readonly args?: readonly string[];
}

type Parsed<O extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: O; allowPositionals: true; strict: true }>
>;

export interface CommandLine<O extends ParseArgsOptionsConfig> {
  readonly values: Parsed<O>["values"];
  readonly words: readonly string[];
}

/** Parses a command line. @throws UsageError for anything that isn't accepted, listing what is. */
export function parsed<O extends ParseArgsOptionsConfig>(
  { help, options, words = 0, args = Deno.args }: Accepts<O>,
): CommandLine<O> {
  const usage = help.split("\n\n", 1)[0]!;
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: options ?? {} as O,
      allowPositionals: true,
      strict: true,
    });
    if (positionals.length <= words) return { values, words: positionals };
    throw new UsageError(`Cannot use the argument ${JSON.stringify(positionals[words])}.`);
  } catch (error) {
    throw new UsageError(`${messageOf(error).split(". ", 1)[0]!.replace(/\.?$/, ".")}\nUsage: ${usage}`);
  }
}

/**
 * Runs a command and ends the process with its exit code. An error is written to standard error; the code is 2 for the
 * command line and the configuration, else what `codeOf` returns, else 1.
 */
export async function runCommand<O extends ParseArgsOptionsConfig>(
  accepts: Accepts<O>,
  main: (line: CommandLine<O>) => number | Promise<number>,
  codeOf: (error: unknown) => number | undefined = () => undefined,
): Promise<never> {
  try {
    if (Deno.args.some((arg) => arg === "--help" || arg === "-h")) {
      say(accepts.help);
      Deno.exit(EXIT.ok);
    }
    const line = parsed(accepts);
    // warnings of libraries and log lines must not mix with a command's output
    await configure({
      sinks: {},
      loggers: [{ category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" }],
      reset: true,
    });
    Deno.exit(await main(line));
  } catch (error) {
    complain(messageOf(error));
    if (error instanceof UsageError || error instanceof ConfigError) Deno.exit(EXIT.usage);
    Deno.exit(codeOf(error) ?? EXIT.failed);
  }
}

/** @throws UsageError unless the value is a whole number. */
export function numberOf(
  name: string,
  value: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER, whole = true } = {},
): number {
  const number = Number(value);
  if (value.trim() !== "" && number >= min && number <= max && (!whole || Number.isInteger(number))) {
    return number;
  }
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  throw new UsageError(
    `--${name} is ${JSON.stringify(value)}, wanted a ${whole ? "whole " : ""}number ${range}.`,
  );
}

const encoder = new TextEncoder();

/** Whether to use progress bars and colours. */
export const isTerminal: boolean = Deno.stdout.isTerminal();

/** Writes a line for people, without characters that control the terminal. */
export function say(line: string): void {
  write(`${safe(line)}\n`);
}

export function complain(line: string): void {
  Deno.stderr.writeSync(encoder.encode(`${safe(line)}\n`));
}

/** Writes a value as JSON on one line. */
export function print(value: unknown): void {
  write(`${JSON.stringify(value)}\n`);
}

/** Writes text unchanged and completely. A reader that closes the pipe early (`| head`) ends the program in order. */
export function write(text: string): void {
  try {
    for (let rest = encoder.encode(text); rest.length > 0;) {
      rest = rest.subarray(Deno.stdout.writeSync(rest));
    }
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
    throw error;
  }
}

type Cell = string | number | null | undefined;

type FieldOf<T> = { [K in keyof T]: T[K] extends Cell ? K : never }[keyof T];

/** Maps each column heading to a field of the rows, or to a function of a row. */
export type Columns<T> = Readonly<Record<string, FieldOf<T> | ((row: T) => Cell)>>;

/** Writes rows under their headings, each column as wide as its widest cell; numbers are aligned to the right. */
export function table<T>(rows: readonly T[], columns: Columns<T>): void {
  const lines: string[][] = [[], ...rows.map(() => [])];
  for (const [head, of] of Object.entries(columns)) {
    const values = rows.map((row) => typeof of === "function" ? of(row) : row[of] as Cell);
    const cells = [head, ...values.map((value) => value == null ? "-" : safe(String(value)))];
    const width = Math.max(...cells.map((cell) => cell.length));
    const isRight = values.length > 0 && values.every((value) => typeof value !== "string");
    cells.forEach((cell, at) => lines[at]!.push(isRight ? cell.padStart(width) : cell.padEnd(width)));
  }
  for (const line of lines) say(line.join("  ").trimEnd());
}

/** Asks for confirmation; without a terminal the answer is no. */
export function confirmed(question: string): boolean {
  return Deno.stdin.isTerminal() && confirm(question);
}

function safe(text: string): string {
  // the text may come from records and from other programs
  return stripVTControlCharacters(text).replace(/(?!\n)[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}
