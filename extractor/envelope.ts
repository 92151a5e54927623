/** Parses an answer's bytes: the list of records, and the values that paging needs. */
import { JsonBytes } from "../shared/files/json_bytes.ts";
import { kind } from "./paging/style.ts";
import { PathReader } from "./paths.ts";
import { Records } from "./records.ts";
import type { Source } from "./source.ts";

export interface Envelope {
  /** Null if the list is `null`, undefined if there is no list. */
  readonly list: Records | null | undefined;
  /** What was found in place of the list, in words. */
  readonly found: string;
  value(place: string): unknown;
}

/**
 * Parses the answer in `bytes`. As in JSON.parse, the last of duplicate keys counts. @throws SyntaxError if it isn't
 * JSON.
 */
export function readEnvelope(bytes: Uint8Array, { records, places, recordPaths }: Source): Envelope {
  const json = new JsonBytes(bytes);
  const lists = new Map<number, Records>(); // by start position
  const readList = (at: number) => {
    const list = new Records(bytes, json, at, recordPaths);
    lists.set(at, list);
    return list.end;
  };
  const reader = new PathReader(json, places, records === undefined ? undefined : readList);
  let answer = { start: 0, end: 0 };
  json.whole((start) => {
    const end = records === undefined && json.isList(start) ? readList(start) : reader.read(start);
    answer = { start, end };
    return end;
  });
  const value = (place: string) => {
    const path = places.paths.indexOf(place);
    return path < 0 ? undefined : reader.value(path);
  };
  const isAnswer = records === undefined;
  const start = isAnswer ? answer.start : reader.starts[0]!;
  if (start >= 0 && json.isList(start)) return { list: lists.get(start)!, found: "a list", value };
  if (!isAnswer && !json.isObject(answer.start)) {
    const found = kind(json.parsed(answer.start, answer.end));
    return { list: undefined, found: `${found} in place of the complete answer`, value };
  }
  const instead = isAnswer ? json.parsed(answer.start, answer.end) : value(records);
  return { list: instead === null ? null : undefined, found: kind(instead), value };
}
