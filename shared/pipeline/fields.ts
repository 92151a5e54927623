import * as z from "zod";

/** A tree of the keys to read of a record. */
export interface Field {
  readonly key: string;
  /** The keys to read in an object; undefined if the value is read completely. */
  readonly below: readonly Field[] | undefined;
  readonly required: boolean;
  readonly schema: z.ZodType;
}

/** Number schemas whose multiples of 1 were replaced. */
const EXACT = new WeakSet<object>();

export function takesIntegers(schema: z.ZodType): boolean {
  if (!(schema instanceof z.ZodNumber)) return false;
  return EXACT.has(schema) || multipleOfOne(schema) !== undefined || schema.format?.includes("int") === true;
}

/** An object schema as it is used: the schema that validates, and the fields that it reads. */
interface Fields {
  readonly schema: z.ZodObject;
  readonly fields: readonly Field[];
}

/**
 * The fields of `record` that have rules. Left out are members that may be anything or absent
 * (`z.unknown().optional()`), and optional objects of such members only: they only give paths to other members of a
 * definition, and are neither read nor validated.
 */
export function fieldsOf(record: z.ZodObject): Fields {
  const fields: Field[] = [];
  const shape: Record<string, z.ZodType> = {};
  for (const [key, schema] of Object.entries(record.shape)) {
    const field = fieldOf(key, schema as z.ZodType);
    if (field === undefined) continue;
    fields.push(field);
    shape[key] = field.schema;
  }
  return { fields, schema: new z.ZodObject({ ...record.def, shape }) };
}

function fieldOf(key: string, schema: z.ZodType): Field | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    const isOptional = schema instanceof z.ZodOptional;
    const inner = fieldOf(key, schema.unwrap() as z.ZodType);
    const isRequested = inner !== undefined &&
      !(isOptional && (inner.below?.length === 0 || inner.schema instanceof z.ZodUnknown));
    if (!isRequested) return undefined;
    return {
      ...inner,
      required: inner.required && !isOptional,
      schema: isOptional ? z.optional(inner.schema) : z.nullable(inner.schema),
    };
  }
  if (schema instanceof z.ZodObject) {
    const { fields, schema: judging } = fieldsOf(schema);
    return { key, below: fields, required: true, schema: judging };
  }
  return {
    key,
    below: undefined,
    required: true,
    schema: schema instanceof z.ZodNumber ? exact(schema) : schema,
  };
}

/** zod also accepts very small fractions as multiples of 1. */
function exact(schema: z.ZodNumber): z.ZodNumber {
  const whole = multipleOfOne(schema);
  if (whole === undefined) return schema;
  const checks = schema.def.checks!.filter((check) => check !== whole);
  const judging = new z.ZodNumber({ ...schema.def, checks })
    .refine(Number.isInteger, { error: whole._zod.def.error as string | undefined ?? "not an integer" });
  EXACT.add(judging);
  return judging;
}

function multipleOfOne(schema: z.ZodNumber): z.core.$ZodCheck<never> | undefined {
  return schema.def.checks?.find(({ _zod: { def } }) =>
    def.check === "multiple_of" && (def as z.core.$ZodCheckMultipleOfDef).value === 1
  );
}
