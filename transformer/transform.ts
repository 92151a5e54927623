/**
 * The stream from raw lines to processed records and dead letters.
 *
 * @module
 */
import {
  type JsonObject,
  judge,
  lineProblem,
  type Problem,
  type Verdict,
} from "../shared/contracts/rules.ts";
import { type Flaw, type LineBatch, MAX_LINE_BYTES } from "../shared/jsonl/lines.ts";
import { deadLetter, enrich } from "./splice.ts";
import { Tally } from "./tally.ts";

/** Where lines go. */
export interface Sink {
  /** Appends `text`. */
  write(text: string): Promise<void>;
}

/** What a transform works with. */
export interface TransformPorts {
  /** Takes the valid records. */
  readonly processed: Sink;
  /** Takes the dead letters. */
  readonly dead: Sink;
  /** The code of a department; undefined where it has none. */
  codeOf(department: string): string | undefined;
  /** Told after each batch of lines how many records are done. */
  progress(records: number): void;
}

/** What was found in a raw file. */
export interface Findings {
  /** Records that went to `processed`. */
  readonly valid: number;
  /** Lines that went to `dead`. */
  readonly invalid: number;
  /** How often each rule was broken, most often first. */
  readonly reasons: { reason: string; count: number }[];
  /** Departments of valid records that have no code, most often first; beyond the first 100 they are summed under `(other)`. */
  readonly lookup_gaps: { department: string; count: number }[];
  /** Top-level keys of all records, in order of appearance; the first 500 of no more than 200 characters. */
  readonly fields: string[];
}

/** The code of a department that the lookup doesn't know. */
export const UNKNOWN_CODE = "UNKNOWN";

/** The longest line to read, in bytes: with what is added to it, it is still handed out whole to those who read the two files. */
export const MAX_RAW_BYTES: number = MAX_LINE_BYTES - 64 * 1024;

const MOST_FIELDS = 500;
const LONGEST_FIELD = 200;
const LONGEST_NAME = 100;

const FLAWS: Record<Flaw, Problem> = {
  "invalid-utf8": lineProblem("Invalid UTF-8", "bytes that are no UTF-8 are shown as \ufffd"),
  "too-long": lineProblem("Line too long", `more than ${MAX_RAW_BYTES} bytes`),
};

/** Writes each line to `processed` or to `dead`, in their order; blank lines are no records. No line stops it. @throws as `batches` and the sinks. */
export async function transform(batches: AsyncIterable<LineBatch>, ports: TransformPorts): Promise<Findings> {
  const reasons = new Tally();
  const gaps = new Tally();
  const fields = new Set<string>();
  let valid = 0;
  let invalid = 0;
  for await (const { lines, flaws } of batches) {
    let processed = "";
    let dead = "";
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]!;
      if (line.trim() === "") continue;
      const verdict = verdictOn(line, flaws.get(i));
      if (verdict.record !== undefined) addKeys(verdict.record, fields);
      if (verdict.valid) {
        const { department } = verdict.user.company;
        const code = ports.codeOf(department);
        if (code === undefined) gaps.add(department.trim().slice(0, LONGEST_NAME).toWellFormed());
        processed += `${enrich(line, verdict.record, code ?? UNKNOWN_CODE)}\n`;
        valid += 1;
      } else {
        for (const { reason } of verdict.problems) reasons.add(reason);
        dead += `${deadLetter(line, verdict.record, verdict.problems)}\n`;
        invalid += 1;
      }
    }
    await ports.processed.write(processed);
    await ports.dead.write(dead);
    ports.progress(valid + invalid);
  }
  return {
    valid,
    invalid,
    reasons: reasons.sorted().map(([reason, count]) => ({ reason, count })),
    lookup_gaps: gaps.sorted().map(([department, count]) => ({ department, count })),
    fields: [...fields],
  };
}

function verdictOn(line: string, flaw: Flaw | undefined): Verdict {
  return flaw === undefined ? judge(line) : { valid: false, problems: [FLAWS[flaw]] };
}

function addKeys(record: JsonObject, fields: Set<string>): void {
  for (const key in record) {
    if (!fields.has(key) && fields.size < MOST_FIELDS && key.length <= LONGEST_FIELD) fields.add(key);
  }
}
