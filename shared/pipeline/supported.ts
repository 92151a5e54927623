/** The schemas that a record may have: they validate a value without changing it, and JSON Schema can express them. */
import * as z from "zod";

export interface Mistake {
  /** The path of keys to it. */
  readonly path: readonly PropertyKey[];
  readonly text: string;
}

const WHY = {
  changes: "changes values, but a record's text passes through as it is",
  code: "runs code, which forms and other languages cannot show",
  json: "has no counterpart in JSON",
};

/** Why a kind of schema is refused. */
const REFUSED: Readonly<Record<string, string>> = {
  transform: WHY.changes,
  pipe: `(transform, preprocess, codec, stringbool) ${WHY.changes}`,
  default: WHY.changes,
  prefault: WHY.changes,
  catch: WHY.changes,
  custom: WHY.code,
  lazy: "refers to itself",
  intersection: "has no order of its fields; use extend",
  readonly: "has no meaning here; leave it out",
  nonoptional: "has no meaning here; leave it out",
  success: WHY.changes,
  never: "refuses every record",
};

const LEAVES = new Set([
  "string",
  "number",
  "boolean",
  "null",
  "unknown",
  "any",
  "enum",
  "literal",
  "template_literal",
]);

const CHECKS = new Set([
  "less_than",
  "greater_than",
  "multiple_of",
  "number_format",
  "string_format",
  "min_length",
  "max_length",
  "length_equals",
]);

/** The unsupported parts of the schema `record`, each with its path. */
export function unsupported(record: unknown): Mistake[] {
  if (!(record instanceof z.ZodObject)) {
    return [{ path: [], text: "wanted z.object({ … }) of zod, which says what makes a record valid" }];
  }
  const mistakes: Mistake[] = [];
  look(record as z.ZodObject, [], new Set(), mistakes);
  return mistakes;
}

function look(schema: unknown, path: readonly string[], above: ReadonlySet<unknown>, found: Mistake[]): void {
  const refuse = (text: string) => {
    found.push({ path, text });
  };
  const visit = (inner: unknown, key?: string) =>
    look(inner, key === undefined ? path : [...path, key], new Set([...above, schema]), found);
  if (!(schema instanceof z.ZodType)) return refuse("wanted a schema of zod");
  if (above.has(schema)) return refuse("refers to itself; name the fields that matter");
  const { def } = schema as unknown as { def: z.core.$ZodTypeDef & Record<string, unknown> };
  if (def.coerce === true) refuse(`z.coerce ${WHY.changes}`);
  for (const check of (def.checks ?? []) as z.core.$ZodCheck[]) {
    const { check: name } = check._zod.def;
    if (name === "overwrite") refuse(`trim, toLowerCase, normalize and the like: it ${WHY.changes}`);
    else if (!CHECKS.has(name)) refuse(`${name === "custom" ? "refine, check" : name}: it ${WHY.code}`);
  }
  switch (def.type) {
    case "object": {
      const { shape, catchall } = def as unknown as z.core.$ZodObjectDef;
      if (catchall !== undefined) {
        refuse(
          "strictObject, looseObject and catchall are not supported; use z.object: other keys pass through",
        );
      }
      for (const [key, inner] of Object.entries(shape)) visit(inner, key);
      return;
    }
    case "array":
      return visit(def.element, "[]");
    case "tuple":
      for (const [at, item] of (def.items as unknown[]).entries()) visit(item, String(at));
      return def.rest === null ? undefined : visit(def.rest, "[]");
    case "record":
      return visit(def.valueType, "{}");
    case "union":
      for (const option of def.options as unknown[]) visit(option);
      return;
    case "optional":
      if (schema instanceof z.ZodExactOptional) refuse(REFUSED.nonoptional!);
      return visit(def.innerType);
    case "nullable":
      return visit(def.innerType);
  }
  if (schema instanceof z.ZodCustomStringFormat) refuse(`stringFormat ${WHY.code}`);
  if (schema instanceof z.ZodLiteral && [...schema.values].some(isNoJson)) {
    refuse(`z.literal of undefined or a bigint ${WHY.json}`);
  }
  if (!LEAVES.has(def.type)) refuse(`z.${def.type} ${REFUSED[def.type] ?? WHY.json}`);
}

function isNoJson(value: unknown): boolean {
  return value === undefined || typeof value === "bigint";
}

/** All types of values at a path of a record; undefined if the schema has no such path. */
export function schemasAt(
  record: z.ZodType,
  path: string,
): { found: z.ZodType[]; absent: boolean } | undefined {
  let at = { found: [record], absent: false };
  for (const key of path.split(".")) {
    const inner = at.found.flatMap((schema) => {
      const member = schema instanceof z.ZodObject && Object.hasOwn(schema.shape, key)
        ? schema.shape[key] as z.ZodType
        : undefined;
      return member === undefined ? [] : [unwrapped(member)];
    });
    if (inner.length === 0) return undefined;
    at = {
      found: inner.flatMap(({ found }) => found),
      absent: at.absent || inner.length < at.found.length || inner.some(({ absent }) => absent),
    };
  }
  return at;
}

/** All types of values that a schema accepts besides null and absence. */
export function unwrapped(schema: z.ZodType): { found: z.ZodType[]; absent: boolean } {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    return { ...unwrapped(schema.unwrap() as z.ZodType), absent: true };
  }
  if (!(schema instanceof z.ZodUnion)) return { found: [schema], absent: schema instanceof z.ZodNull };
  const options = schema.options.map((option) => unwrapped(option as z.ZodType));
  return {
    found: options.flatMap(({ found }) => found),
    absent: options.some(({ absent }) => absent),
  };
}

/** Whether all values that `schema` accepts are of one of `types`. */
export function takesOnly(schema: z.ZodType, types: readonly string[]): boolean {
  if (schema instanceof z.ZodEnum) return schema.options.every((value) => types.includes(typeof value));
  if (schema instanceof z.ZodLiteral) {
    return [...schema.values].every((value) => types.includes(typeof value));
  }
  if (schema instanceof z.ZodNull) return true;
  return types.includes(schema.def.type === "template_literal" ? "string" : schema.def.type);
}
