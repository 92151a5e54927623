/**
 * Adding a member to a record without touching the rest of its text: numbers keep how they are written, keys their order.
 *
 * @module
 */
import { explain, type JsonObject, type Problem } from "../shared/pipeline/rules.ts";

/** The most characters of a line that is no record that its dead letter keeps; no more can be corrected either. */
export const MAX_RAW_LINE = 1_000_000;

const QUOTE = 34, COMMA = 44, OPEN_LIST = 91, BACKSLASH = 92, CLOSE_LIST = 93, OPEN = 123, CLOSE = 125;

/** The key under which a record's code is added. */
export const CODE_KEY = "department_code";

/** The key under which a dead letter says why it is one. */
export const REASON_KEY = "error_reason";

/** The text of a member. */
export function memberText(key: string, value: string): string {
  return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
}

/** The line of a valid record with `department_code` added last; one that it had is dropped. */
export function enrich(line: string, record: JsonObject, code: string): string {
  return withMember(line, record, CODE_KEY, code);
}

/**
 * The dead letter of a line: the record with `error_reason` added last (one that it had is dropped), or, where the line is no JSON object,
 * `{"raw_line":…,"error_reason":…}`.
 */
export function deadLetter(
  line: string,
  record: JsonObject | undefined,
  problems: readonly Problem[],
): string {
  const reason = explain(problems);
  if (record !== undefined) return withMember(line, record, REASON_KEY, reason);
  if (line.length <= MAX_RAW_LINE) return JSON.stringify({ raw_line: line, [REASON_KEY]: reason });
  return JSON.stringify({
    raw_line: line.slice(0, MAX_RAW_LINE).toWellFormed(),
    [REASON_KEY]: `${reason}; raw_line holds the first ${MAX_RAW_LINE} characters`,
  });
}

function withMember(line: string, record: JsonObject, key: string, value: string): string {
  // A second member of the same name would leave it to each reader which one it sees.
  const text = Object.hasOwn(record, key) ? withoutMember(line, key) : line;
  const end = text.lastIndexOf("}");
  const comma = isEmptyBefore(text, end) ? "" : ",";
  return `${text.slice(0, end)}${comma}${memberText(key, value)}${text.slice(end)}`;
}

/** Whether nothing but blanks is between `end` and the brace that opens the object. */
function isEmptyBefore(text: string, end: number): boolean {
  let before = end - 1;
  while (text.charCodeAt(before) <= 32) before -= 1;
  return text.charCodeAt(before) === OPEN;
}

/** The object `line` without its members named `key`, the text of the others as it was. */
function withoutMember(line: string, key: string): string {
  return `{${members(line).filter((member) => keyOf(member) !== key).join(",")}}`;
}

/** The texts between the commas of the JSON object `line`. */
function members(line: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(line, at);
    } else if (code === OPEN || code === OPEN_LIST) {
      if (depth++ === 0) start = at + 1;
    } else if (code === CLOSE || code === CLOSE_LIST) {
      if (--depth === 0) found.push(line.slice(start, at));
    } else if (code === COMMA && depth === 1) {
      found.push(line.slice(start, at));
      start = at + 1;
    }
  }
  return found;
}

function keyOf(member: string): string {
  const start = member.indexOf('"');
  return JSON.parse(member.slice(start, endOfString(member, start) + 1));
}

/** Where the string that opens at `at` has its closing quote. */
function endOfString(text: string, at: number): number {
  for (at += 1; text.charCodeAt(at) !== QUOTE; at++) if (text.charCodeAt(at) === BACKSLASH) at += 1;
  return at;
}
