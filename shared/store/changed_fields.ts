/** Which fields of a record changed. */
import { isExactObject, parseExact } from "../pipeline/exact_json.ts";

/** The dotted paths of the values in which two records differ. A changed list counts as one value; the order of keys doesn't matter. */
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
