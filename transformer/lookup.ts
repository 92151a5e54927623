/**
 * Department names and their codes, from a CSV file that people keep.
 *
 * @module
 */
import { CsvError, parse } from "csv-parse/sync";
import { createHash } from "node:crypto";
import { ConfigError, messageOf } from "../shared/errors/errors.ts";

/** Which code a department has. */
export interface Departments {
  /** The code of the department `name`, however it is capitalised and spaced; undefined where the file has none. */
  codeOf(name: string): string | undefined;
  /** SHA-256 of the file, lower-case hexadecimal. */
  readonly sha256: string;
  /** How many departments it names. */
  readonly size: number;
}

const HEADER = "department_name,department_code";

/**
 * Reads the lookup file: UTF-8, with or without byte order mark, the header `department_name,department_code`, then one department a row.
 *
 * @throws ConfigError with every problem of the file, each with its line.
 */
export async function readDepartments(path: string): Promise<Departments> {
  const refuse = (...problems: string[]) => new ConfigError("the transformer", problems);
  let bytes: Uint8Array<ArrayBuffer>;
  let text: string;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    throw refuse(
      `${path} can't be read (${
        messageOf(error)
      }). Point LOOKUP_FILE at a CSV file with the header ${HEADER}.`,
    );
  }
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw refuse(`${path} is not UTF-8. Save it as UTF-8.`);
  }
  try {
    const { codes, problems } = readRows(rowsOf(text), path);
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
  /** The line on which it ends. */
  readonly info: { readonly lines: number };
}

function rowsOf(text: string): Row[] {
  // the parser counts lines right where they end alike
  const options = { trim: true, relax_column_count: true, skip_empty_lines: true, info: true } as const;
  return parse(text.replace(/\r\n?/g, "\n"), options) as unknown as Row[];
}

function readRows(rows: Row[], path: string): { codes: Map<string, string>; problems: string[] } {
  const codes = new Map<string, string>();
  const lines = new Map<string, number>(); // folded name -> the line that names it first
  const problems: string[] = [];
  const [header, ...departments] = rows;
  if (header === undefined || header.record.join(",").toLowerCase() !== HEADER) {
    const found = header === undefined ? "nothing" : JSON.stringify(header.record.join(","));
    problems.push(`${path} line ${header?.info.lines ?? 1}: expected the header ${HEADER}, got ${found}`);
  }
  for (const { record, info } of departments) {
    const problem = (text: string) => problems.push(`${path} line ${info.lines}: ${text}`);
    const [name = "", code = ""] = record;
    const key = fold(name);
    const known = codes.get(key);
    if (record.length !== 2) problem(`expected 2 fields, got ${record.length}`);
    else if (name === "") problem("expected a department's name, got an empty field");
    else if (code === "") problem(`expected a code for ${JSON.stringify(name)}, got an empty field`);
    else if (known !== undefined && known !== code) {
      problem(`${JSON.stringify(name)} has the code ${code} here, but ${known} on line ${lines.get(key)}`);
    } else if (known === undefined) {
      codes.set(key, code);
      lines.set(key, info.lines);
    }
  }
  if (header !== undefined && departments.length === 0) {
    problems.push(`${path}: expected a department on each line after the header, got none`);
  }
  return { codes, problems };
}

/** What makes two spellings of a name the same: no blanks around, one between words, no capitals, characters in their composed form. */
function fold(name: string): string {
  return name.trim().replace(/\s+/g, " ").toLowerCase().normalize("NFC");
}
