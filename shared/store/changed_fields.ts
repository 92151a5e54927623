/**
 * Which fields of a record changed.
 *
 * @module
 */
import { isExactObject, parseExact } from "../pipeline/exact_json.ts";

/** The paths, with dots, of the values in which two records differ; of a list its own path. The order of keys is no difference. */
export function changedFields(before: string, after: string): string[] {
  const found: string[] = [];
  compare(parseExact(before), parseExact(after), [], found);
  return found;
}

function compare(before: unknown, after: unknown, path: readonly string[], found: string[]): void {
  if (before === after) return;
  if (!isExactObject(before) || !isExactObject(after)) {
    if (JSON.stringify(before) !== JSON.stringify(after)) found.push(path.join("."));
    return;
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    compare(before[key], after[key], [...path, key], found);
  }
}
