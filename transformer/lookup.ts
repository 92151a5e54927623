import { CsvError, parse } from "csv-parse/sync";
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { ConfigError, messageOf } from "../shared/errors/errors.ts";
import { pipelinesDir } from "../shared/pipeline/load.ts";
import type { Placeholder } from "../shared/pipeline/mod.ts";
import type { Plan } from "../shared/pipeline/plan.ts";
import type { ReadEnv } from "../shared/pipeline/resolve.ts";

/** A column of names, and a column of their codes. */
interface LookupFile {
  /** The code of `name`, ignoring case and extra spaces; undefined if the file lacks it. */
  codeOf(name: string): string | undefined;
  /** SHA-256 of the file, lower-case hexadecimal. */
  readonly sha256: string;
  /** Number of names. */
  readonly size: number;
}

export interface AddedMember {
  readonly key: string;
  /** The path of keys to the value to look up. */
  readonly by: readonly string[];
  codeOf(name: string): string | undefined;
  readonly otherwise: string | null;
  readonly path: string;
  readonly size: number;
}

export interface Lookups {
  readonly added: readonly AddedMember[];
  /** SHA-256 of the file, lower-case hexadecimal; for several files, of their concatenated checksums. */
  readonly sha256: string;
}

interface LookupPlaces {
  /** The folder of definitions. Default: the program's own. */
  readonly dir?: string | undefined;
  /** Reads variables that name another file, relative to the working directory. Default: none is set. */
  readonly readEnv?: ReadEnv;
}

/** @throws ConfigError with every problem of a file, each with its line. */
export async function readLookups(
  { definition: { add = {} } }: Plan,
  { dir, readEnv = () => undefined }: LookupPlaces = {},
): Promise<Lookups> {
  const sums: string[] = [];
  const added = await Promise.all(
    Object.entries(add).map(async ([member, { lookup, key, value, by, otherwise }]) => {
      const path = await lookupPath(lookup, pipelinesDir(dir), readEnv);
      const { codeOf, sha256, size } = await readLookup(path, key, value);
      sums.push(sha256);
      return { key: member, by: by.split("."), codeOf, otherwise: otherwise ?? null, path, size };
    }),
  );
  const [only, ...others] = sums;
  if (only !== undefined && others.length === 0) return { added, sha256: only };
  return { added, sha256: createHash("sha256").update(sums.sort().join("")).digest("hex") };
}

/** The path in the folder `dir`, or the one that the lookup's variable names. */
export async function lookupPath(
  lookup: string | Placeholder,
  dir: string,
  readEnv: ReadEnv,
): Promise<string> {
  if (typeof lookup === "string") return join(dir, lookup);
  const given = readEnv("env" in lookup ? lookup.env : lookup.secret) || undefined;
  const own = join(dir, "fallback" in lookup ? String(lookup.fallback) : "");
  // lookup files were in this folder before they moved to the definitions, and environments may still name it
  if (given === undefined || dirname(given) !== "transformer") return given ?? own;
  return await Deno.stat(given).then(() => given, () => join(dir, basename(given)));
}

/**
 * Reads a lookup file: UTF-8, with or without byte order mark, a header with the two columns `key` and `value`, then
 * one name per row.
 *
 * @throws ConfigError with every problem of the file, each with its line.
 */
export async function readLookup(path: string, key: string, value: string): Promise<LookupFile> {
  const header = `${key},${value}`;
  const refuse = (...problems: string[]) => new ConfigError("the transformer", problems);
  let bytes: Uint8Array<ArrayBuffer>;
  let text: string;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw refuse(
      `${path} can't be read (${
        messageOf(error)
      }). Put a CSV file with the header ${header} there, or name another one.`,
    );
  }
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw refuse(`${path} is not UTF-8. Save it as UTF-8.`);
  }
  try {
    const { codes, problems } = readRows(rowsOf(text), path, header);
    if (problems.length > 0) throw refuse(...problems);
    return {
      codeOf: (name) => codes.get(fold(name)),
      sha256: createHash("sha256").update(bytes).digest("hex"),
      size: codes.size,
    };
  } catch (error) {
    if (error instanceof CsvError) throw refuse(`${path}: ${error.message}`);
    throw error;
  }
}

interface Row {
  readonly record: string[];
  /** The row's last line. */
  readonly info: { readonly lines: number };
}

function rowsOf(text: string): Row[] {
  // the parser counts lines correctly only if all line ends are the same
  const options = { trim: true, relax_column_count: true, skip_empty_lines: true, info: true } as const;
  return parse(text.replace(/\r\n?/g, "\n"), options) as unknown as Row[];
}

function readRows(
  rows: Row[],
  path: string,
  wanted: string,
): { codes: Map<string, string>; problems: string[] } {
  const codes = new Map<string, string>();
  const lines = new Map<string, number>(); // folded name -> its first line
  const problems: string[] = [];
  const [header, ...names] = rows;
  if (header === undefined || header.record.join(",").toLowerCase() !== wanted.toLowerCase()) {
    const found = header === undefined ? "nothing" : JSON.stringify(header.record.join(","));
    problems.push(`${path} line ${header?.info.lines ?? 1}: expected the header ${wanted}, got ${found}`);
  }
  for (const { record, info } of names) {
    const problem = (text: string) => problems.push(`${path} line ${info.lines}: ${text}`);
    const [name = "", code = ""] = record;
    const key = fold(name);
    const known = codes.get(key);
    if (record.length !== 2) problem(`expected 2 fields, got ${record.length}`);
    else if (name === "") problem("expected a name, got an empty field");
    else if (code === "") problem(`expected a code for ${JSON.stringify(name)}, got an empty field`);
    else if (known !== undefined && known !== code) {
      problem(`${JSON.stringify(name)} has the code ${code} here, but ${known} on line ${lines.get(key)}`);
    } else if (known === undefined) {
      codes.set(key, code);
      lines.set(key, info.lines);
    }
  }
  if (header !== undefined && names.length === 0) {
    problems.push(`${path}: expected a name on each line after the header, got none`);
  }
  return { codes, problems };
}

/** Normalizes a name: no spaces around it, one between words, lower case, composed characters. */
function fold(name: string): string {
  return name.trim().replace(/\s+/g, " ").toLowerCase().normalize("NFC");
}
