import SchemaBuilder from "@pothos/core";
import { GraphQLError, Kind, valueFromASTUntyped, type ValueNode } from "graphql";
import { MOST_LEVELS } from "../../shared/pipeline/problems.ts";
import type { Context } from "./context.ts";

/** Fields are non-null by default. */
export const builder = new SchemaBuilder<{
  Context: Context;
  DefaultFieldNullability: false;
  Scalars: {
    ID: { Input: string; Output: string | number };
    DateTime: { Input: string; Output: string };
    JSON: { Input: unknown; Output: unknown };
    Long: { Input: number; Output: number };
  };
}>({ defaultFieldNullability: false });

export type Types = typeof builder extends PothosSchemaTypes.SchemaBuilder<infer T> ? T : never;

/** An error in the request, shown to the client. */
export function badInput(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: "BAD_USER_INPUT" } });
}

/** `value` if it is between the bounds. @throws a GraphQLError naming the argument. */
export function bounded(argument: string, value: number, min: number, max: number): number {
  if (value >= min && value <= max) return value;
  throw badInput(`Cannot use ${argument}: ${value}, wanted ${min} to ${max}.`);
}

builder.scalarType("DateTime", {
  description:
    "ISO 8601 with a time zone, such as `2026-11-24T03:00:07.123Z`; answers are in UTC with milliseconds.",
  serialize: (value) => value,
  parseValue: (value) => {
    const time = typeof value === "string" && /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(value)
      ? Date.parse(value)
      : NaN;
    if (Number.isNaN(time)) {
      throw badInput(
        `Cannot use the time ${JSON.stringify(value)}, wanted one such as 2026-11-24T03:00:07.123Z.`,
      );
    }
    return new Date(time).toISOString();
  },
});

builder.scalarType("Long", {
  description: "A whole number beyond 32 bits.",
  serialize: (value) => value,
  parseValue: (value) => {
    if (Number.isSafeInteger(value)) return value as number;
    throw badInput(`Cannot use ${JSON.stringify(value)}, wanted a whole number.`);
  },
});

builder.scalarType("JSON", {
  description: "Any JSON value. Whole numbers in answers keep all their digits.",
  serialize: (value) => value,
  parseValue: (value) => {
    refuseUnkept(value);
    return value;
  },
  parseLiteral: (node, variables) => {
    refuseUnkeptLiteral(node);
    return valueFromASTUntyped(node, variables);
  },
});

/** A number that JavaScript can't represent would be changed silently. */
function refuseUnkept(value: unknown, level = 0): void {
  if (level > MOST_LEVELS) {
    throw badInput(`Cannot use a JSON value of more than ${MOST_LEVELS} levels. Give one with fewer levels.`);
  }
  if (value === Infinity || value === -Infinity || Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw badInput(
      `Cannot use the number ${value}: it has more digits than can be kept. Give the record's whole new text instead.`,
    );
  }
  if (typeof value === "object" && value !== null) {
    Object.values(value).forEach((inner) => refuseUnkept(inner, level + 1));
  }
}

function refuseUnkeptLiteral(node: ValueNode): void {
  if (node.kind === Kind.INT) refuseUnkept(Number(node.value));
  if (node.kind === Kind.FLOAT && !Number.isFinite(Number(node.value))) refuseUnkept(Infinity);
  if (node.kind === Kind.LIST) node.values.forEach(refuseUnkeptLiteral);
  if (node.kind === Kind.OBJECT) node.fields.forEach((field) => refuseUnkeptLiteral(field.value));
}
