import { parseExact } from "../../../shared/pipeline/exact_json.ts";

export interface Entry {
  readonly input: "text" | "email" | "date" | "number" | "choice" | "json";
  readonly choices: readonly unknown[];
  readonly nullable: boolean;
  /** In the user's language if there is a translation. */
  readonly wanted: string;
}

/** Typed text as a value: a number, list, object or `null` if one is expected and the text is one, else the text. */
export function typed(text: string, { input, choices, nullable }: Entry): unknown {
  if (nullable && text.trim() === "null") return null;
  if (input === "number" ? /^\s*-?\d+(\.\d+)?\s*$/.test(text) : input === "json") {
    try {
      return (parseExact(`[${text}]`) as unknown[])[0]; // only values in a list keep all their digits
    } catch {
      return text;
    }
  }
  return choices.find((choice) => shown(choice) === text) ?? text;
}

/** The type of the input element for `value`. An input for dates doesn't show other text. */
export function inputType({ input }: Entry, value: unknown): "text" | "email" | "date" {
  if (input === "date") return value === undefined || value === "" || isDate(value) ? "date" : "text";
  return input === "email" ? "email" : "text";
}

function isDate(value: unknown): boolean {
  if (typeof value !== "string" || !/^\d{4}-\d\d-\d\d$/.test(value)) return false;
  const date = new Date(value);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value);
}

export function shown(value: unknown): string {
  return typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
}
