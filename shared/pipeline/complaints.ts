/**
 * The message about a value that a schema refuses, as it continues `70 is …`; and the rule that the schema expresses. A
 * message that the schema defines itself is used unchanged.
 */
import * as z from "zod";
import { type Field, takesIntegers } from "./fields.ts";

/** One rule, for forms and for people. */
export interface Rule {
  /** The path of the field, with dots if it is nested. */
  readonly field: string;
  readonly kind: "integer" | "number" | "string" | "email" | "value";
  /** The expected value, in words. */
  readonly wanted: string;
  readonly minimum?: number;
  readonly maximum?: number;
  /** A regular expression that must match somewhere in the text. */
  readonly pattern?: string;
}

export const NOUNS: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  integer: "an integer",
  boolean: "true or false",
  null: "null",
  array: "an array",
  object: "an object",
  email: "an email address",
  url: "a web address",
  uuid: "a UUID",
  datetime: "a date and time",
  date: "a date",
  time: "a time",
};

export const complaint: z.core.$ZodErrorMap = (issue) => {
  const { input, inst } = issue as { input?: unknown; inst?: z.ZodType };
  if (input === undefined) return "missing";
  switch (issue.code) {
    case "invalid_type":
      if (typeof input === "number" && !Number.isFinite(input)) return "beyond the numbers that can be kept";
      return `not ${nounOf(inst, issue.expected)}`;
    case "too_small":
      return tooSmall(issue.origin, Number(issue.minimum), issue.inclusive !== false);
    case "too_big":
      return tooBig(issue.origin, Number(issue.maximum), issue.inclusive !== false);
    case "invalid_format":
      return issue.format === "regex"
        ? `not of the form ${issue.pattern}`
        : `not ${NOUNS[issue.format] ?? `a ${issue.format}`}`;
    case "not_multiple_of":
      return `not a multiple of ${issue.divisor}`;
    case "invalid_value":
      return `not ${oneOf(issue.values)}`;
    case "invalid_union":
      return "not of a kind that is allowed";
    default:
      return "not valid";
  }
};

function nounOf(schema: z.ZodType | undefined, expected: string): string {
  if (schema !== undefined && takesIntegers(schema)) return NOUNS.integer!;
  const { format } = (schema?.def ?? {}) as { format?: string };
  return NOUNS[format ?? ""] ?? NOUNS[expected] ?? "a value of the kind that is wanted";
}

function tooSmall(origin: string, minimum: number, inclusive: boolean): string {
  if (origin === "string") return minimum === 1 ? "empty" : `shorter than ${minimum} characters`;
  if (origin === "array") return minimum === 1 ? "empty" : `shorter than ${minimum} elements`;
  return inclusive ? `less than ${minimum}` : `not greater than ${minimum}`;
}

function tooBig(origin: string, maximum: number, inclusive: boolean): string {
  if (origin === "string") return `longer than ${maximum} characters`;
  if (origin === "array") return `longer than ${maximum} elements`;
  return inclusive ? `greater than ${maximum}` : `not less than ${maximum}`;
}

function oneOf(values: readonly unknown[]): string {
  const texts = values.map((value) => typeof value === "string" ? JSON.stringify(value) : String(value));
  return texts.length === 1 ? texts[0]! : `one of ${texts.join(", ")}`;
}

/** The rule of the field at `path`. */
export function ruleOf(path: string, field: Field): Rule {
  let schema: z.ZodType = field.schema;
  while (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    schema = schema.unwrap() as z.ZodType;
  }
  const { minimum, maximum, pattern, format, type, enum: values } = z.toJSONSchema(schema, {
    unrepresentable: "any",
  });
  const isInteger = takesIntegers(schema);
  const kind = isInteger
    ? "integer"
    : type === "number"
    ? "number"
    : type !== "string" || values !== undefined
    ? "value"
    : format === "email"
    ? "email"
    : "string";
  const noun = values !== undefined
    ? oneOf(values)
    : pattern === FILLED
    ? "a string that isn't empty"
    : nounOf(schema, typeof type === "string" ? type : "value");
  return {
    field: path,
    kind,
    wanted: `${noun}${rangeOf(minimum, maximum)}`,
    ...(minimum === undefined ? {} : { minimum }),
    ...(maximum === undefined ? {} : { maximum }),
    ...(pattern === undefined ? {} : { pattern }),
  };
}

/** A pattern for text with at least one character that isn't white space. */
const FILLED = "\\S";

function rangeOf(minimum: number | undefined, maximum: number | undefined): string {
  if (minimum === undefined) return maximum === undefined ? "" : ` up to ${maximum}`;
  return maximum === undefined ? ` from ${minimum}` : ` from ${minimum} to ${maximum}`;
}
