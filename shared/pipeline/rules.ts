/**
 * What makes a record valid, and how it is said what is wrong with one. The transformer, the dry run of a correction and the dashboard's
 * form all ask here; it runs in browsers too.
 *
 * Where the brief leaves it open: a text of nothing but white space counts as empty. An integer is a number without a fraction, so `1.0` and
 * 64-bit ids are integers. An e-mail address is what zod takes for one: ASCII, with a dot in its domain.
 *
 * @module
 */
import * as z from "zod";

/** A field that a rule is about, with a dot for the nested one. */
export type RuledField = "id" | "firstName" | "email" | "age" | "company.department";

/** One rule, for forms and for people. */
export interface Rule {
  /** The field that it is about. */
  readonly field: RuledField;
  /** What kind of value it has to be. */
  readonly kind: "integer" | "number" | "string" | "email";
  /** What is wanted, in words. */
  readonly wanted: string;
  /** The least number that is allowed. */
  readonly minimum?: number;
  /** The greatest number that is allowed. */
  readonly maximum?: number;
  /** A regular expression that has to match somewhere in the text. */
  readonly pattern?: string;
}

const AGE = { minimum: 18, maximum: 65 };
const FILLED = /\S/;
const EMAIL = z.regexes.email;

/** The rules, in the order in which problems are told. */
export const RULES: readonly Rule[] = [
  { field: "id", kind: "integer", wanted: "an integer" },
  { field: "firstName", kind: "string", wanted: "a string that isn't empty", pattern: FILLED.source },
  { field: "email", kind: "email", wanted: "an email address", pattern: EMAIL.source },
  { field: "age", kind: "number", wanted: `a number from ${AGE.minimum} to ${AGE.maximum}`, ...AGE },
  {
    field: "company.department",
    kind: "string",
    wanted: "a string that isn't empty",
    pattern: FILLED.source,
  },
];

/** The messages of the schema are complaints: they go on after a value, as in `70 is …`; `missing` stands alone. */
const complaint = (text: string) => ({
  error: ({ input }: { input?: unknown }) => {
    if (input === undefined) return "missing";
    return typeof input === "number" && !Number.isFinite(input)
      ? "beyond the numbers that can be kept"
      : text;
  },
});

/** The ruled fields of a valid record; whatever else it has is left alone. */
export interface ValidUser {
  /** A number without a fraction. */
  readonly id: number;
  /** Not empty. */
  readonly firstName: string;
  /** An e-mail address. */
  readonly email: string;
  /** 18 to 65. */
  readonly age: number;
  /** Where the user works. */
  readonly company: {
    /** Not empty. */
    readonly department: string;
  };
}

const validUser: z.ZodType<ValidUser> = z.object({
  id: z.number(complaint("not an integer")).refine(Number.isInteger, "not an integer"),
  firstName: z.string(complaint("not a string")).regex(FILLED, "empty"),
  email: z.email({ pattern: EMAIL, ...complaint("not an email address") }),
  age: z.number(complaint("not a number"))
    .min(AGE.minimum, `less than ${AGE.minimum}`)
    .max(AGE.maximum, `greater than ${AGE.maximum}`),
  company: z.object({ department: z.string(complaint("not a string")).regex(FILLED, "empty") }, "missing"),
}, "Not an object");
/** A parsed JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Something that is wrong with a record. */
export interface Problem {
  /** The field, such as `company.department`; empty where the line as a whole is wrong. */
  readonly field: RuledField | "";
  /** What was found: the value as JSON, shortened and with its control characters escaped; `missing`; or what the line is. */
  readonly found: string;
  /** What is wanted. */
  readonly wanted: string;
  /** The kind of problem without any value, such as `age: greater than 65`: what can be counted. */
  readonly reason: string;
  /** All of it in one phrase, such as `age: 70 is greater than 65`. */
  readonly message: string;
}

/** What came of a line: a valid record, or every problem, with the record where the line is a JSON object at all. */
export type Verdict =
  | { readonly valid: true; readonly record: JsonObject; readonly user: ValidUser }
  | { readonly valid: false; readonly record?: JsonObject; readonly problems: readonly Problem[] };

/** Judges a line of text, whatever it holds. Never throws. */
export function judge(line: string): Verdict {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (error) {
    return { valid: false, problems: [lineProblem("Invalid JSON", syntaxProblem(error))] };
  }
  return judgeRecord(record);
}

/** Judges a parsed record; of an object no more is looked at than the ruled fields. Never throws. */
export function judgeRecord(record: unknown): Verdict {
  const checked = validUser.safeParse(record);
  if (checked.success) return { valid: true, record: record as JsonObject, user: checked.data };
  const problems = explained(checked.error, record);
  return isObject(record) ? { valid: false, record, problems } : { valid: false, problems };
}

/** All problems of a parsed record, in the order of the rules; none when it is valid. */
export function problems(record: unknown): readonly Problem[] {
  const checked = validUser.safeParse(record);
  return checked.success ? [] : explained(checked.error, record);
}

/** The text of `error_reason`: all problems, in one line. */
export function explain(problems: readonly Problem[]): string {
  return problems.map((problem) => problem.message).join("; ");
}

/** A problem of a line as a whole. `kind` is what is counted; `message` must not hold anything of the line. */
export function lineProblem(kind: string, message: string): Problem {
  return { field: "", found: kind, wanted: "a JSON object", reason: kind, message: `${kind}: ${message}` };
}

function explained(error: z.ZodError, record: unknown): Problem[] {
  if (!isObject(record)) {
    return [lineProblem("Not an object", `found ${kindOf(record)}, wanted a JSON object`)];
  }
  return error.issues.map(({ path, message }) => {
    const rule = RULES.find((rule) => rule.field.startsWith(path.join(".")))!;
    const value = path.reduce((at: unknown, key) => (at as Record<PropertyKey, unknown>)[key], record);
    if (message !== "missing") {
      const found = shown(value);
      return problem(rule, found, message, `${found} is ${message}`);
    }
    // the field can't be there where its parent is no object
    const phrase = value === undefined ? "missing" : `missing (${path.join(".")} is ${kindOf(value)})`;
    return problem(rule, "missing", "missing", phrase);
  });
}

function problem({ field, wanted }: Rule, found: string, complaint: string, phrase: string): Problem {
  return { field, found, wanted, reason: `${field}: ${complaint}`, message: `${field}: ${phrase}` };
}

/** The longest part of a text that is shown, in characters. */
const SHOWN = 60;

/** A value as JSON, short and on one line: nothing in it can steer a terminal or turn the direction of what is read. */
function shown(value: unknown): string {
  if (typeof value === "string") {
    const short = value.length <= SHOWN ? value : `${value.slice(0, SHOWN).replace(/[\ud800-\udbff]$/, "")}…`;
    return JSON.stringify(short).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped);
  }
  return typeof value === "object" && value !== null ? kindOf(value) : String(value);
}

function escaped(character: string): string {
  return character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What the engine says of broken JSON, without the parts of the text that some of its messages quote. */
function syntaxProblem(error: unknown): string {
  const text = error instanceof Error ? error.message : "";
  const placed = /^((?!Unexpected token)[^"]+) in JSON at position (\d+)/.exec(text);
  if (placed !== null) return `${placed[1]} at character ${Number(placed[2]) + 1}`;
  return text === "Unexpected end of JSON input" ? "the text ends too early" : "unexpected character";
}
