/** Adds a member to a record without changing the rest of its text: numbers and the order of keys stay as written. */
import { JsonBytes } from "../shared/files/json_bytes.ts";
import { explain, type JsonObject, type Problem } from "../shared/pipeline/problems.ts";

/** The most characters that a dead letter keeps of a line that isn't a record; a longer line can't be corrected. */
export const MAX_RAW_LINE = 1_000_000;

const SPACE = 32, OPEN = 123;
const encoder = new TextEncoder();

export const REASON_KEY = "error_reason";

/** The value is null if the lookup has none. */
export type Member = readonly [key: string, value: string | null];

export function memberText([key, value]: Member): string {
  return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
}

/** The line of a valid record with `members` added last; its own members with these names are dropped. */
export function enrich(line: string, record: JsonObject, members: readonly Member[]): string {
  return members.reduce((text, member) => withMember(text, record, member), line);
}

/**
 * The dead letter of a line: the record with `error_reason` added last (replacing its own), or, if the line isn't a
 * JSON object, `{"raw_line":…,"error_reason":…}`.
 */
export function deadLetter(
  line: string,
  record: JsonObject | undefined,
  problems: readonly Problem[],
): string {
  const reason = explain(problems);
  if (record !== undefined) return withMember(line, record, [REASON_KEY, reason]);
  if (line.length <= MAX_RAW_LINE) return JSON.stringify({ raw_line: line, [REASON_KEY]: reason });
  return JSON.stringify({
    raw_line: line.slice(0, MAX_RAW_LINE).toWellFormed(),
    [REASON_KEY]: `${reason}; raw_line holds the first ${MAX_RAW_LINE} characters`,
  });
}

function withMember(line: string, record: JsonObject, member: Member): string {
  const [key] = member;
  // with two members of the same name, readers could disagree on which one counts
  const text = Object.hasOwn(record, key) ? withoutMember(line, key) : line;
  const end = text.lastIndexOf("}");
  const comma = isEmptyBefore(text, end) ? "" : ",";
  return `${text.slice(0, end)}${comma}${memberText(member)}${text.slice(end)}`;
}

function isEmptyBefore(text: string, end: number): boolean {
  let before = end - 1;
  while (text.charCodeAt(before) <= 32) before -= 1;
  return text.charCodeAt(before) === OPEN;
}

/** The object `line` without its members named `key`; the other text is unchanged. */
function withoutMember(line: string, key: string): string {
  const bytes = encoder.encode(line);
  const json = new JsonBytes(bytes);
  const kept: string[] = [];
  const open = bytes.indexOf(OPEN);
  let start = open + 1;
  json.members(open, (name, nameEnd, at) => {
    const end = json.end(at);
    let comma = end;
    while (bytes[comma]! <= SPACE) comma += 1;
    if (!json.isKey(name, nameEnd, key)) kept.push(json.text(start, comma));
    start = comma + 1;
    return end;
  });
  return `{${kept.join(",")}}`;
}
