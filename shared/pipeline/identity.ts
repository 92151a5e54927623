import { createHash } from "node:crypto";
import { complaint, NOUNS } from "./complaints.ts";
import type { Plan } from "./plan.ts";

/**
 * SHA-256, in lower-case hexadecimal, of everything in a definition that determines the transformer's output. This is
 * its schema with every bound, pattern and message, the added members, and the texts of the messages. The source and
 * its schedule are ignored.
 */
export function identityOf({ definition: { name, record, add } }: Plan): string {
  const decides = { name, record: described(record), add: add ?? {}, words: [NOUNS, SAMPLES.map(complaint)] };
  return createHash("sha256").update(JSON.stringify(decides)).digest("hex");
}

/** One issue of every kind; together, their messages contain all texts. */
const SAMPLES = [
  { code: "invalid_type", expected: "string" },
  { code: "invalid_type", expected: "string", input: undefined },
  { code: "invalid_type", expected: "number", input: Infinity },
  ...["number", "string", "array"].flatMap((origin) =>
    [1, 2].flatMap((bound) =>
      [true, false].flatMap((inclusive) => [
        { code: "too_small", origin, minimum: bound, inclusive },
        { code: "too_big", origin, maximum: bound, inclusive },
      ])
    )
  ),
  { code: "invalid_format", format: "regex", pattern: "/x/" },
  { code: "invalid_format", format: "x" },
  { code: "not_multiple_of", divisor: 2 },
  { code: "invalid_value", values: ["x"] },
  { code: "invalid_value", values: ["x", 1] },
  { code: "invalid_union", errors: [] },
  { code: "custom" },
].map((issue) => ({ input: null, ...issue }) as unknown as Parameters<typeof complaint>[0]);

/** A schema, with its checks, as data. */
function described(value: unknown): unknown {
  if (value instanceof RegExp) return `${value}`;
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return value.map(described);
  if (typeof value === "function") return value({ code: "custom", input: null });
  if (typeof value !== "object" || value === null) return value;
  const { _zod } = value as { _zod?: { def: object } };
  return Object.fromEntries(
    Object.entries(_zod?.def ?? value).map(([key, inner]) => [key, described(inner)]),
  );
}
