/** JSON that preserves all digits of numbers. Runs in browsers too. */
import { isObject, type JsonObject } from "./problems.ts";

/** JSON.parse source text access (ECMAScript stage 4), which TypeScript's library lacks. */
export const exactJson = JSON as typeof JSON & {
  /** Whether `value` was made by `rawJSON`. */
  isRawJSON(value: unknown): boolean;
  /** A value that `JSON.stringify` writes as `text`. */
  rawJSON(text: string): object;
};

/**
 * Parses JSON. Whole numbers beyond the safe range become raw JSON values, which `JSON.stringify` writes with all their
 * digits.
 *
 * @throws SyntaxError if the text isn't JSON.
 */
export function parseExact(text: string): unknown {
  const keepDigits = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? exactJson.rawJSON(context!.source!)
      : value;
  return /[:,[]\s*-?\d{16}/.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text);
}

/** What `parseExact` returns; undefined if the text isn't JSON. */
export function parsedExactly(text: string): unknown {
  try {
    return parseExact(text);
  } catch {
    return undefined;
  }
}

/** Whether a value parsed by `parseExact` is an object, and not a raw number. */
export function isExactObject(value: unknown): value is JsonObject {
  return isObject(value) && !exactJson.isRawJSON?.(value);
}
