import * as z from "zod";
import type { Condition, Conditions, Searchable } from "../../shared/store/current_rows.ts";
import { isObject } from "../../shared/pipeline/problems.ts";
import { maskOf, touches } from "../../shared/store/mask.ts";
import { badInput } from "./builder.ts";

/** Maximum number of fields in a condition, values of `in`, and `%` in `like`: each takes time. */
const MOST = { fields: 10, values: 100, wildcards: 5 };

const Text = z.string().max(500);
const Value = z.union([Text, z.number(), z.boolean()]);
const GivenCondition = z.strictObject({
  eq: Value.nullable(),
  lt: z.union([Text, z.number()]),
  gt: z.union([Text, z.number()]),
  in: z.array(Value).max(MOST.values),
  like: Text.refine((text) => text.split("%").length <= MOST.wildcards + 1),
}).partial();

export interface Fields {
  readonly searchable: readonly Searchable[];
  /** Paths with dots for nested fields. */
  readonly masked: readonly string[];
}

/**
 * The conditions of a client: `{ field: { eq, lt, gt, in, like } }`. A nested field is named with dots, or by nested
 * objects.
 *
 * @throws a GraphQLError naming a field that can't be searched, and those that can.
 */
export function conditionsOf(where: unknown, fields: Fields): Conditions {
  if (where == null) return {};
  if (!isObject(where)) {
    throw badInput('Cannot use where: wanted an object such as { "age": { "gt": 30 } }.');
  }
  const given = namedIn(where, [], fields.searchable);
  if (given.length > MOST.fields) {
    throw badInput(`Cannot search by ${given.length} fields at once: wanted at most ${MOST.fields}.`);
  }
  return Object.fromEntries(given.map(([name, condition]) => [name, checked(name, condition, fields)]));
}

function namedIn(
  where: object,
  above: readonly string[],
  searchable: readonly Searchable[],
): [string, unknown][] {
  return Object.entries(where).flatMap(([key, value]): [string, unknown][] => {
    const path = [...above, key];
    const name = path.join(".");
    const isParent = isObject(value) && searchable.some(({ field }) => field.startsWith(`${name}.`));
    return isParent ? namedIn(value, path, searchable) : [[name, value]];
  });
}

function checked(name: string, given: unknown, { searchable, masked }: Fields): Condition {
  const field = searchable.find(({ field }) => field === name);
  if (field === undefined) {
    const isMasked = touches(maskOf(masked), name.split("."));
    throw badInput(
      `Cannot search by the field ${JSON.stringify(name)}: ${
        isMasked ? "it is masked, and results would reveal its values; " : ""
      }wanted one of ${searchable.map(({ field }) => field).join(", ")}.`,
    );
  }
  const { data, error } = GivenCondition.safeParse(given);
  if (error !== undefined) {
    throw badInput(
      `Cannot use the condition on ${name}: wanted eq, lt, gt, in (at most ${MOST.values} values) or like (a text with at most ` +
        `${MOST.wildcards} "%"), such as { "eq": 7 }.`,
    );
  }
  const { eq, lt, gt, in: among = [], like } = data;
  for (const value of [eq, lt, gt, ...among, like]) {
    if (value == null || fits(value, field, value === like)) continue;
    throw badInput(
      `Cannot compare ${name} with ${JSON.stringify(value)}: wanted ${
        field.type === "TEXT" ? "a text" : "a number"
      }.`,
    );
  }
  return data;
}

/** Refuses to compare texts with numbers: such a condition never matches. */
function fits(value: string | number | boolean, { type }: Searchable, isPattern: boolean): boolean {
  if (type === undefined) return typeof value !== "boolean";
  if (type === "TEXT" || (isPattern && type === "INTEGER")) return typeof value === "string";
  return typeof value === "number" || (type === "INTEGER" && typeof value === "boolean");
}
