/**
 * Records as rows of a table, from their text, with the same cells as SQLite's views. PostgreSQL's views have one type per column, so they can't show
 * every value as it is.
 */
import { exactJson, isExactObject } from "../../pipeline/exact_json.ts";
import type { JsonObject } from "../../pipeline/problems.ts";
import { type Mask, maskRecord } from "../mask.ts";
import type { Cell } from "../rows.ts";

/** The masked record of a line, whose nested values keep their spelling; undefined if it isn't a JSON object. */
export function recordOf(line: string, mask: Mask): JsonObject | undefined {
  try {
    const record = maskRecord(JSON.parse(line, asWritten), mask);
    return isExactObject(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** The cell for the value below `keys`: booleans as 1 and 0, objects and lists as JSON, whole numbers of more than 64 bits as text. */
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

/** Keeps the spelling of numbers, texts and booleans. */
function asWritten(_key: string, value: unknown, context?: { source?: string }): unknown {
  return context?.source === undefined || value === null ? value : exactJson.rawJSON(context.source);
}
