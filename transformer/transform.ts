import type { FieldTypes } from "../shared/contracts/messages.ts";
import { type Flaw, type LineBatch, MAX_LINE_BYTES } from "../shared/files/lines.ts";
import type { Plan } from "../shared/pipeline/plan.ts";
import {
  explain,
  type JsonObject,
  lineProblem,
  type Problem,
  type Verdict,
} from "../shared/pipeline/problems.ts";
import type { AddedMember } from "./lookup.ts";
import { kindBit, KINDS, RecordReader } from "./reader.ts";
import { deadLetter, enrich, type Member, memberText, REASON_KEY } from "./splice.ts";
import { Tally } from "./tally.ts";

export interface Sink {
  /** Appends text or bytes. The caller may reuse the bytes once the promise is settled. */
  write(data: string | Uint8Array): Promise<void>;
}

interface TransformPorts {
  readonly processed: Sink;
  readonly dead: Sink;
  readonly plan: Plan;
  readonly added: readonly AddedMember[];
  /** Called after each batch of lines with the number of records processed. */
  progress(records: number): void;
}

interface Findings {
  /** Records written to `processed`. */
  readonly valid: number;
  /** Lines written to `dead`. */
  readonly invalid: number;
  /** How often each rule was broken, most often first. */
  readonly reasons: { reason: string; count: number }[];
  /** Values of valid records that a lookup lacks, most often first; beyond the first 100 they are summed under `(other)`. */
  readonly lookup_gaps: { department: string; count: number }[];
  /** Top-level keys of all records, in order of appearance; the first 500 of at most 200 characters. */
  readonly fields: string[];
  /** The JSON types of these keys' values. */
  readonly types: FieldTypes[];
}

/**
 * The longest line to read, in bytes. With the added members, its line in either output file is still short enough to
 * be read.
 */
export const MAX_RAW_BYTES: number = MAX_LINE_BYTES - 64 * 1024;

const NEWLINE = 10, RETURN = 13;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const COMMA = encoder.encode(",");
/** The end of a record's line. */
const CLOSE = encoder.encode("}\n");

const MOST_FIELDS = 500;
const LONGEST_FIELD = 200;
const LONGEST_NAME = 100;

const FLAWS: Record<Flaw, Problem> = {
  "invalid-utf8": lineProblem("Invalid UTF-8", "bytes that are no UTF-8 are shown as \ufffd"),
  "too-long": lineProblem("Line too long", `more than ${MAX_RAW_BYTES} bytes`),
};

/**
 * Writes each line to `processed` or `dead`, in order, and skips blank ones. An invalid line never stops it. @throws as
 * `batches` and the sinks.
 */
export async function transform(batches: AsyncIterable<LineBatch>, ports: TransformPorts): Promise<Findings> {
  const transformation = new Transformation(ports);
  for await (const batch of batches) {
    if (batch.bytes === undefined) transformation.takeLines(batch);
    else transformation.takeBytes(batch.bytes);
    await transformation.flush();
  }
  return transformation.findings();
}

class Transformation {
  readonly #reasons = new Tally();
  readonly #gaps = new Tally();
  readonly #fields = new Map<string, number>(); // key -> the bits of the kinds of its values
  readonly #reader: RecordReader;
  readonly #processed = new Output();
  /** Keys that only a previously transformed record can have. */
  readonly #addedKeys: readonly string[];
  /** The added members in UTF-8, by their text. */
  readonly #members = new Map<string | null, Uint8Array>();
  readonly #dead = new Output();
  #valid = 0;
  #invalid = 0;

  constructor(private readonly ports: TransformPorts) {
    this.#reader = new RecordReader(ports.plan.reading);
    this.#addedKeys = [...ports.added.map(({ key }) => key), REASON_KEY];
  }

  /** Processes a line as bytes. A record's bytes are copied; only the fields with rules are parsed. */
  takeBytes(bytes: Uint8Array): void {
    for (let at = 0, next = 0; at <= bytes.length; at = next + 1) {
      next = bytes.indexOf(NEWLINE, at);
      if (next < 0) next = bytes.length;
      const end = next > at && bytes[next - 1] === RETURN ? next - 1 : next;
      const line = bytes.subarray(at, end);
      if (!this.#takeRecord(line)) this.#takeLine(decoder.decode(line));
    }
  }

  takeLines({ lines, flaws }: LineBatch): void {
    lines.forEach((line, i) => this.#takeLine(line, flaws.get(i)));
  }

  async flush(): Promise<void> {
    await this.ports.processed.write(this.#processed.take());
    await this.ports.dead.write(this.#dead.take());
    this.ports.progress(this.#valid + this.#invalid);
  }

  findings(): Findings {
    return {
      valid: this.#valid,
      invalid: this.#invalid,
      reasons: this.#reasons.sorted().map(([reason, count]) => ({ reason, count })),
      lookup_gaps: this.#gaps.sorted().map(([department, count]) => ({ department, count })),
      fields: [...this.#fields.keys()],
      types: [...this.#fields].map(([field, bits]) => ({
        field,
        types: KINDS.filter((kind) => (bits & kindBit(kind)) !== 0),
      })),
    };
  }

  /** Processes the line if it is a record without the members to add, as most lines are. */
  #takeRecord(line: Uint8Array): boolean {
    const record = this.#reader;
    if (!record.read(line) || this.#addedKeys.some((key) => record.keys.includes(key))) return false;
    record.seen(this.#addField);
    const problems = this.ports.plan.judge(record.values);
    const output = problems.length === 0 ? this.#processed : this.#dead;
    output.put(line.subarray(0, -1));
    let isFirst = record.keys.length === 0;
    const put = (member: Uint8Array) => {
      if (!isFirst) output.put(COMMA);
      isFirst = false;
      output.put(member);
    };
    if (problems.length > 0) put(encoder.encode(memberText([REASON_KEY, explain(problems)])));
    else for (const member of this.#membersOf(record.values)) put(this.#encoded(member));
    output.put(CLOSE);
    this.#count(problems);
    return true;
  }

  #takeLine(line: string, flaw?: Flaw): void {
    if (line.trim() === "") return;
    const verdict = this.#verdictOn(line, flaw);
    for (const [key, value] of Object.entries(verdict.record ?? {})) {
      this.#addField(key, kindBit(kindOf(value)));
    }
    if (verdict.valid) {
      this.#processed.put(
        encoder.encode(`${enrich(line, verdict.record, this.#membersOf(verdict.record))}\n`),
      );
    } else this.#dead.put(encoder.encode(`${deadLetter(line, verdict.record, verdict.problems)}\n`));
    this.#count(verdict.valid ? [] : verdict.problems);
  }

  #verdictOn(line: string, flaw: Flaw | undefined): Verdict {
    return flaw === undefined ? this.ports.plan.judgeLine(line) : { valid: false, problems: [FLAWS[flaw]] };
  }

  #count(problems: readonly Problem[]): void {
    if (problems.length === 0) this.#valid += 1;
    else {
      for (const { reason } of problems) this.#reasons.add(reason);
      this.#invalid += 1;
    }
  }

  /** The members to add to a valid record. Counts values that the lookup lacks. */
  #membersOf(record: JsonObject): Member[] {
    return this.ports.added.map(({ key, by, codeOf, otherwise }) => {
      const value = by.reduce<unknown>((at, key) => (at as JsonObject | undefined)?.[key], record);
      if (typeof value !== "string") return [key, otherwise];
      const code = codeOf(value);
      if (code === undefined) this.#gaps.add(value.trim().slice(0, LONGEST_NAME).toWellFormed());
      return [key, code ?? otherwise];
    });
  }

  #encoded(member: Member): Uint8Array {
    const text = memberText(member);
    let bytes = this.#members.get(text);
    if (bytes === undefined) {
      bytes = encoder.encode(text);
      this.#members.set(text, bytes);
    }
    return bytes;
  }

  readonly #addField = (key: string, bit: number): void => {
    const fields = this.#fields;
    const bits = fields.get(key);
    if (bits !== undefined) fields.set(key, bits | bit);
    else if (fields.size < MOST_FIELDS && key.length <= LONGEST_FIELD) fields.set(key, bit);
  };
}

function kindOf(value: unknown): (typeof KINDS)[number] {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value as "string" | "number" | "boolean" | "object";
}

/** Collects bytes in a reused buffer. */
class Output {
  #bytes = new Uint8Array(512 * 1024);
  #length = 0;

  put(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  /** The bytes so far; valid until the next `put`. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }
}
