/**
 * Records as rows of a table, from their text: the same cells as SQLite's views show. The views of PostgreSQL have one type a column, and so
 * can't show what each record holds.
 *
 * @module
 */
import { exactJson, isExactObject } from "../../pipeline/exact_json.ts";
import type { JsonObject } from "../../pipeline/problems.ts";
import { type Mask, maskRecord } from "../mask.ts";
import type { Cell } from "../rows.ts";

/** The masked record of a line, whose nested values keep the way in which they are written; undefined where it is no JSON object. */
export function recordOf(line: string, mask: Mask): JsonObject | undefined {
  try {
    const record = maskRecord(JSON.parse(line, asWritten), mask);
    return isExactObject(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** What a table shows of the value below `keys`: flags as 1 and 0, objects and lists as JSON, whole numbers of more than 64 bits as text. */
export function cellOf(record: JsonObject | undefined, ...keys: string[]): Cell {
  let value: unknown = record;
  for (const key of keys) {
    if (!isExactObject(value) || !Object.hasOwn(value, key)) return null;
    value = value[key];
  }
  if (value === null || value === undefined) return null;
  if (!exactJson.isRawJSON(value)) return typeof value === "string" ? value : JSON.stringify(value);
  const text = JSON.stringify(value);
  if (text === "true" || text === "false") return text === "true" ? 1 : 0;
  if (text.startsWith('"')) return JSON.parse(text);
  const number = Number(text);
  if (!/^-?\d+$/.test(text) || Number.isSafeInteger(number)) return number;
  return BigInt.asIntN(64, BigInt(text)) === BigInt(text) ? BigInt(text) : text;
}

/** Keeps numbers, texts and flags as they are written. */
function asWritten(_key: string, value: unknown, context?: { source?: string }): unknown {
  return context?.source === undefined || value === null ? value : exactJson.rawJSON(context.source);
}
