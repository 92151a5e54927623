/**
 * A definition, compiled once.
 *
 * Where zod leaves it open, an integer is a number without a fraction, so `1.0` and 64-bit ids are integers.
 */
import * as z from "zod";
import { complaint, type Rule, ruleOf } from "./complaints.ts";
import { type Field, fieldsOf, takesIntegers } from "./fields.ts";
import type { Pipeline } from "./mod.ts";
import {
  isObject,
  isTooDeep,
  kindOf,
  lineProblem,
  notAnObject,
  type Problem,
  shown,
  syntaxProblem,
  TOO_DEEP,
  type Verdict,
} from "./problems.ts";

// deno-lint-ignore no-explicit-any
export type AnyPipeline = Pipeline<any>;

/** A pipeline, as the services know it. */
export interface Plan {
  readonly name: string;
  readonly definition: AnyPipeline;
  /** The fields to parse from a record's bytes. */
  readonly reading: readonly Field[];
  /** The fields with rules, in the schema's order. */
  readonly rules: readonly Rule[];
  /** The schema as JSON Schema (draft 2020-12), for forms and other languages. */
  readonly form: z.core.JSONSchema.BaseSchema;
  /**
   * The problems of a parsed record, in the order of the rules; none if it is valid. Reads only the fields of
   * `reading`. Never throws.
   */
  judge(record: unknown): readonly Problem[];
  /** Validates a line of any text. Never throws. */
  judgeLine(line: string): Verdict;
}

/**
 * Compiles a valid definition.
 *
 * @param compile makes the schema faster (`z.compile`); absent in a page that must not generate code
 */
export function planOf(
  definition: AnyPipeline,
  compile: (schema: z.ZodObject) => z.ZodObject = (schema) => schema,
): Plan {
  const { name, record } = definition;
  const { schema, fields } = fieldsOf(record as z.ZodObject);
  const leaves = leavesOf(fields, []);
  const quick = compile(schema);
  const key: string[] = definition.key.split(".");
  const judge = (value: unknown): readonly Problem[] => {
    if (!isObject(value)) return [notAnObject(value)];
    const ofKey = keyProblems(at(value, key), key);
    if (quick.validate(value)) return ofKey;
    const issues = schema.safeParse(value, CONTEXT).error?.issues ?? NONE;
    return [...ofKey, ...issues.flatMap((issue) => explained(issue, value, leaves))];
  };
  return {
    name,
    definition,
    reading: fields,
    rules: leaves.map(({ rule }) => rule),
    get form() {
      return formOf(record as z.ZodObject);
    },
    judge,
    judgeLine(line) {
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch (error) {
        return { valid: false, problems: [lineProblem("Invalid JSON", syntaxProblem(error))] };
      }
      if (isTooDeep(line)) return { valid: false, problems: [TOO_DEEP] };
      const problems = judge(value);
      if (!isObject(value)) return { valid: false, problems };
      return problems.length === 0
        ? { valid: true, record: value }
        : { valid: false, record: value, problems };
    },
  };
}

function formOf(record: z.ZodObject): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(record, {
    io: "input", // other members of a record pass through
    override({ zodSchema, jsonSchema }) {
      if (!takesIntegers(zodSchema as unknown as z.ZodType)) return;
      jsonSchema.type = "integer";
      if (jsonSchema.multipleOf === 1) delete jsonSchema.multipleOf;
    },
  });
}

const CONTEXT = { error: complaint };
const NONE: readonly never[] = [];

/** In a database, two keys with these characters could be one: SQLite cuts a text at a NUL, PostgreSQL replaces both. */
function keyProblems(key: unknown, path: readonly string[]): readonly Problem[] {
  if (typeof key !== "string" || (key.isWellFormed() && !key.includes("\0"))) return NONE;
  const rule: Rule = {
    field: path.join("."),
    kind: "value",
    wanted: "a text without NUL and lone surrogates",
  };
  const complaint = "a key with NUL or a lone surrogate";
  return [problem(rule, path, shown(key), complaint, `${shown(key)} is ${complaint}`)];
}

function at(record: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((at: unknown, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], record);
}

interface Leaf {
  readonly path: readonly string[];
  readonly rule: Rule;
  /** The length of the path up to its last optional key. */
  readonly optional: number;
}

function leavesOf(fields: readonly Field[], above: readonly string[], optional = 0): Leaf[] {
  return fields.flatMap((field) => {
    const path = [...above, field.key];
    const depth = field.required ? optional : path.length;
    if (field.below !== undefined && field.below.length > 0) return leavesOf(field.below, path, depth);
    return [{ path, optional: depth, rule: ruleOf(path.join("."), field) }];
  });
}

function explained({ path, message }: z.core.$ZodIssue, record: unknown, leaves: readonly Leaf[]): Problem[] {
  const value = at(record, path);
  const found = value === undefined ? "missing" : shown(value);
  const leaf = leaves.find((leaf) => begins(path, leaf.path));
  if (leaf !== undefined) {
    if (value === undefined) return [problem(leaf.rule, path, found, found, found)];
    return [problem(leaf.rule, path, found, message, `${found} is ${message}`)];
  }
  // a field can't exist if its parent isn't an object
  const phrase = value === undefined ? "missing" : `missing (${path.join(".")} is ${kindOf(value)})`;
  const missing = leaves.filter((leaf) => leaf.optional <= path.length && begins(leaf.path, path));
  if (missing.length > 0) {
    return missing.map(({ rule, path }) => problem(rule, path, "missing", "missing", phrase));
  }
  const rule: Rule = { field: path.join("."), kind: "value", wanted: "an object" };
  return [problem(rule, path, found, message, value === undefined ? found : `${found} is ${message}`)];
}

function begins(path: readonly PropertyKey[], first: readonly PropertyKey[]): boolean {
  return first.every((key, i) => path[i] === key);
}

function problem(
  { field, wanted }: Rule,
  path: readonly PropertyKey[],
  found: string,
  complaint: string,
  phrase: string,
): Problem {
  return { field, found, wanted, reason: `${field}: ${complaint}`, message: `${path.join(".")}: ${phrase}` };
}
