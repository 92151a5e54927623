/**
 * What is written: for people on standard output, or one JSON object a line for programs.
 *
 * @module
 */
import { stripVTControlCharacters } from "node:util";

const encoder = new TextEncoder();

/** Whether standard output is a terminal. */
export const isTerminal: boolean = Deno.stdout.isTerminal();

/** Writes a line for people. Nothing in it can steer the terminal. */
export function say(line: string): void {
  write(`${safe(line)}\n`);
}

/** Writes a line for people on standard error. */
export function complain(line: string): void {
  Deno.stderr.writeSync(encoder.encode(`${safe(line)}\n`));
}

/** Writes a value for programs, as JSON on one line. */
export function print(value: unknown): void {
  write(`${JSON.stringify(value)}\n`);
}

/** Writes all of it. A reader that has seen enough (`| head`) ends the program in order. */
function write(text: string): void {
  try {
    for (let rest = encoder.encode(text); rest.length > 0;) {
      rest = rest.subarray(Deno.stdout.writeSync(rest));
    }
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
    throw error;
  }
}

/** Writes rows under their heads, each column as wide as its widest cell; numbers stand to the right. */
export function table(
  heads: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
): void {
  const cells = rows.map((row) => row.map((cell) => cell === null ? "-" : safe(String(cell))));
  const widths = heads.map((head, at) => Math.max(head.length, ...cells.map((row) => row[at]!.length)));
  const right = heads.map((_head, at) => rows.length > 0 && rows.every((row) => typeof row[at] !== "string"));
  const line = (row: readonly string[]) =>
    row.map((cell, at) => right[at] ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)).join("  ")
      .trimEnd();
  for (const row of [heads, ...cells]) say(line(row));
}

/** Asks for a yes; what can't be asked isn't confirmed. */
export function confirmed(question: string): boolean {
  return Deno.stdin.isTerminal() && confirm(question);
}

function safe(text: string): string {
  // what is written came from records and other programs
  return stripVTControlCharacters(text).replace(/(?!\n)[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}
