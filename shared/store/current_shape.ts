/** The shape of a pipeline's current state, which follows from its definition. */
import * as z from "zod";
import { takesIntegers } from "../pipeline/fields.ts";
import type { AnyPipeline } from "../pipeline/plan.ts";
import { takesOnly, unwrapped } from "../pipeline/supported.ts";
import { isPlainKey } from "./mask.ts";

/** A field of the current state that has a column of its own. */
export interface CurrentColumn {
  /** Its keys, from the record on. */
  readonly keys: readonly string[];
  readonly type: "INTEGER" | "REAL" | "TEXT";
}

/** How the current state of a pipeline is kept. */
export interface CurrentShape {
  /** The path of the key in a record. */
  readonly key: readonly string[];
  /** The type of a key; undefined if several are allowed, or an older version wrote this. */
  readonly keyType?: CurrentColumn["type"] | undefined;
  /** With `snapshot`, a complete run removes the keys that it doesn't hold. */
  readonly load: "upsert" | "snapshot";
  /** The fields of the definition except the key, and those that it adds. */
  readonly columns: readonly CurrentColumn[];
  /** Dotted names of the fields with an index. */
  readonly index: readonly string[];
}

/** Most columns of a current table for fields of records. */
const MOST_COLUMNS = 200;

/** The shape of a pipeline's current state; null if its definition has none (`load: "append"`), or its key can't be named in SQL. */
export function currentShapeOf(
  { record, key, load, add = {}, index = [] }: AnyPipeline,
): CurrentShape | null {
  const keys = key.split(".");
  if (load === "append" || !keys.every(isPlainKey)) return null;
  const added = Object.keys(add).filter(isPlainKey).map((name) => ({ keys: [name], type: "TEXT" as const }));
  const all = columnsOf(record as z.ZodObject, []);
  const keyType = all.find(({ keys }) => keys.join(".") === key)?.type;
  const own = all.filter(({ keys }) => !(keys[0]! in add) && keys.join(".") !== key);
  const columns = [...added, ...own].slice(0, MOST_COLUMNS);
  const named = new Set(columns.map(({ keys }) => keys.join(".")));
  return {
    key: keys,
    keyType,
    load: load ?? "upsert",
    columns,
    index: index.filter((field) => named.has(field)),
  };
}

function columnsOf(record: z.ZodObject, above: readonly string[]): CurrentColumn[] {
  return Object.entries(record.shape).flatMap(([key, schema]): CurrentColumn[] => {
    if (!isPlainKey(key)) return [];
    const keys = [...above, key];
    const { found } = unwrapped(schema as z.ZodType);
    if (found.every((one) => one instanceof z.ZodObject)) {
      const inner = found as z.ZodObject[];
      return inner.length === 1 ? columnsOf(inner[0]!, keys) : [];
    }
    const type = typeOf(found);
    return type === undefined ? [] : [{ keys, type }];
  });
}

function typeOf(schemas: readonly z.ZodType[]): CurrentColumn["type"] | undefined {
  const all = (types: readonly string[]) => schemas.every((schema) => takesOnly(schema, types));
  if (all(["string"])) return "TEXT";
  if (schemas.every((schema) => takesIntegers(schema) || takesOnly(schema, ["boolean"]))) return "INTEGER";
  return all(["number"]) ? "REAL" : undefined;
}
