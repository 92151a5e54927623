import type { Rule } from "../../client/operations.ts";
import { t } from "./i18n.ts";
import type { Entry } from "./values.ts";

/** The part of a JSON Schema that forms use. */
interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
}

/** `rules` is the JSON Schema of the whole record. */
export function entryOf(rule: Rule, rules: unknown): Entry {
  const given = schemaAt(rules as Schema | null, rule.field.split("."));
  const schema = withoutNull(given);
  const nullable = given?.anyOf?.some(({ type }) => type === "null") ?? false;
  const choices = schema?.type === "boolean"
    ? [true, false]
    : schema?.enum ?? (schema !== undefined && "const" in schema ? [schema.const] : []);
  const { minimum, maximum } = rule;
  const entry = (input: Entry["input"], wanted: string): Entry => ({
    input,
    choices,
    nullable,
    wanted,
  });
  if (schema?.type === "boolean") return entry("choice", t("wanted.boolean"));
  if (choices.length > 0) {
    return entry(
      "choice",
      t("wanted.oneOf", { values: choices.map((value) => JSON.stringify(value)).join(", ") }),
    );
  }
  if (schema?.format === "date") return entry("date", t("wanted.date"));
  if (schema?.format === "date-time") return entry("text", t("wanted.datetime"));
  if (schema?.type === "array" || schema?.type === "object") return entry("json", rule.wanted);
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

function schemaAt(schema: Schema | null | undefined, [key, ...below]: string[]): Schema | undefined {
  return key === undefined
    ? schema ?? undefined
    : schemaAt(withoutNull(schema ?? undefined)?.properties?.[key], below);
}

function withoutNull(schema: Schema | undefined): Schema | undefined {
  return schema?.anyOf?.find(({ type }) => type !== "null") ?? schema;
}
