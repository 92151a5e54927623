/**
 * How a field of a pipeline's record is asked for, by its rule and the JSON Schema of the rules.
 *
 * @module
 */
import type { Rule } from "../../client/operations.ts";
import { t } from "./i18n.ts";

/** The part of a JSON Schema that forms look at. */
interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
}

/** How a field is typed in. */
export interface Entry {
  readonly input: "text" | "email" | "date" | "number" | "choice";
  /** What can be chosen. */
  readonly choices: readonly unknown[];
  /** What is wanted, in the reader's language where it has words for it. */
  readonly wanted: string;
}

/** How the field of `rule` is typed in; `rules` is the JSON Schema of the whole record. */
export function entryOf(rule: Rule, rules: unknown): Entry {
  const schema = schemaAt(rules as Schema | null, rule.field.split("."));
  const choices = schema?.type === "boolean"
    ? [true, false]
    : schema?.enum ?? (schema !== undefined && "const" in schema ? [schema.const] : []);
  const { minimum, maximum } = rule;
  const entry = (input: Entry["input"], wanted: string): Entry => ({ input, choices, wanted });
  if (schema?.type === "boolean") return entry("choice", t("wanted.boolean"));
  if (choices.length > 0) {
    return entry(
      "choice",
      t("wanted.oneOf", { values: choices.map((value) => JSON.stringify(value)).join(", ") }),
    );
  }
  if (schema?.format === "date") return entry("date", t("wanted.date"));
  if (schema?.format === "date-time") return entry("text", t("wanted.datetime"));
  if (rule.kind === "email") return entry("email", t("wanted.email"));
  if (rule.kind === "string" && rule.pattern === "\\S") return entry("text", t("wanted.string"));
  if (rule.kind === "integer" && minimum == null && maximum == null) {
    return entry("number", t("wanted.integer"));
  }
  if (rule.kind === "number" && minimum != null && maximum != null) {
    return entry("number", t("wanted.number", { minimum, maximum }));
  }
  return entry(rule.kind === "integer" || rule.kind === "number" ? "number" : "text", rule.wanted);
}

/** What was typed into a field, as a value: a number where one is wanted and it is one, else the text. */
export function typed(text: string, { input, choices }: Entry): unknown {
  if (input === "number") return /^\s*-?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : text;
  return choices.find((choice) => shown(choice) === text) ?? text;
}

/** A value as it stands in a field. */
export function shown(value: unknown): string {
  return typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
}

function schemaAt(schema: Schema | null | undefined, [key, ...below]: string[]): Schema | undefined {
  const some = schema?.anyOf?.find(({ type }) => type !== "null") ?? schema ?? undefined;
  return key === undefined ? some : schemaAt(some?.properties?.[key], below);
}
