/** Problems of a record or line. Runs in browsers too. */

export type JsonObject = Readonly<Record<string, unknown>>;

export interface Problem {
  /** A path such as `company.department`; empty if the problem is about the whole line. */
  readonly field: string;
  /** The value as JSON, shortened and with its control characters escaped; `missing`; or the kind of line. */
  readonly found: string;
  readonly wanted: string;
  /** The kind of problem without any value, for counting, such as `age: greater than 65`. */
  readonly reason: string;
  /** The whole problem in one phrase, such as `age: 70 is greater than 65`. */
  readonly message: string;
}

/** A valid record, or every problem, with the record if the line is a JSON object. */
export type Verdict =
  | { readonly valid: true; readonly record: JsonObject }
  | { readonly valid: false; readonly record?: JsonObject; readonly problems: readonly Problem[] };

/** The text of `error_reason`: all problems, in one line. */
export function explain(problems: readonly Problem[]): string {
  return problems.map((problem) => problem.message).join("; ");
}

/** A problem of a whole line. `kind` is for counting; `message` must not contain any part of the line. */
export function lineProblem(kind: string, message: string): Problem {
  return { field: "", found: kind, wanted: "a JSON object", reason: kind, message: `${kind}: ${message}` };
}

/** For a parsed line that isn't an object. */
export function notAnObject(value: unknown): Problem {
  return lineProblem("Not an object", `found ${kindOf(value)}, wanted a JSON object`);
}

/** Maximum depth of nested objects and lists, including the record itself; SQLite's JSON functions read no more. */
export const MOST_LEVELS = 1000;

/** For a valid JSON text with more levels than that. */
export const TOO_DEEP: Problem = lineProblem(
  "Nested too deeply",
  `more than ${MOST_LEVELS} objects and lists within each other`,
);

/** Whether a valid JSON text has more than `MOST_LEVELS`. */
export function isTooDeep(json: string): boolean {
  if (json.length <= 2 * MOST_LEVELS) return false;
  for (let at = 0, level = 0; at < json.length; at++) {
    const character = json[at];
    if (character === '"') {
      for (at++; json[at] !== '"'; at++) if (json[at] === "\\") at++;
    } else if (character === "{" || character === "[") {
      if (++level > MOST_LEVELS) return true;
    } else if (character === "}" || character === "]") level--;
  }
  return false;
}

/** Maximum length of a shown value, in characters. */
const SHOWN = 60;

/**
 * A value as JSON, short and on one line, without characters that control a terminal or change the direction of text.
 */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    const short = value.length <= SHOWN ? value : `${value.slice(0, SHOWN).replace(/[\ud800-\udbff]$/, "")}…`;
    return JSON.stringify(short).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped);
  }
  return typeof value === "object" && value !== null ? kindOf(value) : String(value);
}

function escaped(character: string): string {
  return character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}

export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The engine's message about invalid JSON, without the parts of the text that some of its messages quote. */
export function syntaxProblem(error: unknown): string {
  const text = error instanceof Error ? error.message : "";
  const placed = /^((?!Unexpected token)[^"]+) in JSON at position (\d+)/.exec(text);
  if (placed !== null) return `${placed[1]} at character ${Number(placed[2]) + 1}`;
  return text === "Unexpected end of JSON input" ? "the text ends too early" : "unexpected character";
}
