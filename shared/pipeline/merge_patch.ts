/** Corrects an invalid record: JSON Merge Patch (RFC 7396), applied to a line of a dead-letter file. */
import type { Patch } from "../contracts/messages.ts";
import { exactJson, isExactObject } from "./exact_json.ts";

/** Shown by the views in place of a masked value; never a real value. */
export const MASK = "***";

/** The record's new text on one line, or the reason why there is none. */
type Corrected = { readonly line: string } | { readonly problem: string };

/**
 * The record of a dead letter, corrected by `patch`: replaced by `text`, or with `merge` applied, or unchanged if the
 * patch has neither. Numbers that the patch doesn't change keep their text (`1.0`, `9007199254740993`).
 *
 * @param deadLetter a line of a dead-letter file: the record with `error_reason`, or `{"raw_line", "error_reason"}`
 */
export function correctedRecord(deadLetter: string, patch: Patch): Corrected {
  const { merge, text } = patch;
  if (text !== undefined) return replaced(text);
  if (merge !== undefined && holdsMask(merge)) return { problem: MASKED };
  let letter: unknown;
  try {
    letter = parseExactly(deadLetter);
  } catch {
    return { problem: "the dead letter is no JSON, its file was changed" };
  }
  if (!isExactObject(letter)) return { problem: "the dead letter is no JSON object, its file was changed" };
  const entries = Object.entries(letter).filter(([key]) => key !== "error_reason");
  const rawLine = entries.length === 1 && entries[0]![0] === "raw_line" ? entries[0]![1] : undefined;
  if (typeof rawLine === "string") {
    return merge === undefined
      ? replaced(rawLine)
      : { problem: "it was no JSON object, so there is nothing to merge into; give its whole new text" };
  }
  const record = Object.fromEntries(entries);
  return { line: JSON.stringify(merge === undefined ? record : mergePatch(record, merge)) };
}

/**
 * Applies a JSON Merge Patch (RFC 7396): members of the patch replace those of the target, `null` removes a member,
 * objects are merged. Changes neither argument. Members keep their positions, new ones are last.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isExactObject(patch)) return patch;
  const merged = new Map(isExactObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}

const MASKED =
  `it would write the placeholder "${MASK}" of a masked field; leave the field out, or give its true value`;

/** In valid JSON, line ends occur only between tokens; in other text they would split one record into two. */
function replaced(text: string): Corrected {
  const line = text.replace(/[\r\n]+/g, " ");
  if (line.trim() === "") return { problem: "the new text is empty" };
  try {
    if (holdsMask(JSON.parse(line))) return { problem: MASKED };
  } catch {
    // text that isn't JSON is allowed too; the next phase reports what is wrong with it
  }
  return { line };
}

function holdsMask(value: unknown): boolean {
  if (value === MASK) return true;
  return typeof value === "object" && value !== null && Object.values(value).some(holdsMask);
}

function parseExactly(text: string): unknown {
  const reviver = (_key: string, value: unknown, context: { source?: string }) =>
    typeof value === "number" && context.source !== undefined ? exactJson.rawJSON(context.source) : value;
  return JSON.parse(text, reviver as (key: string, value: unknown) => unknown);
}
