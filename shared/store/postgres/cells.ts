/**
 * Records as rows of a table, from their text: the same cells as SQLite's views show. The views of PostgreSQL have one type a column, and so
 * can't show what each record holds.
 *
 * @module
 */
import { exactJson, type Mask, maskRecord } from "../mask.ts";
import type { Cell } from "../rows.ts";

/** The masked record of a line, whose nested values keep the way in which they are written; undefined where it is no JSON object. */
export function recordOf(line: string, mask: Mask): Record<string, unknown> | undefined {
  try {
    const record = maskRecord(JSON.parse(line, asWritten), mask);
    return typeof record === "object" && record !== null && !exactJson.isRawJSON(record) &&
        !Array.isArray(record)
      ? record as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}

/** What a table shows of the value below `keys`: flags as 1 and 0, objects and lists as JSON, whole numbers of more than 64 bits as text. */
export function cellOf(record: Record<string, unknown> | undefined, ...keys: string[]): Cell {
  let value: unknown = record;
  for (const key of keys) {
    const isObject = typeof value === "object" && value !== null && !exactJson.isRawJSON(value) &&
      !Array.isArray(value);
    if (!isObject || !Object.hasOwn(value as object, key)) return null;
    value = (value as Record<string, unknown>)[key];
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
