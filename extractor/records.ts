/**
 * The records of a page: the text of each exactly as the source wrote it, and its id.
 *
 * @module
 */
import { idFrom, type RecordId } from "./ids.ts";
import { JsonBytes } from "../shared/files/json_bytes.ts";

const NEWLINE = 10, RETURN = 13;

/** The elements of a page's list, in the page's own bytes. */
export class Records {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly ids: (RecordId | undefined)[] = [];

  readonly end: number;

  /** Reads the list at `at` of `json`, the text that stands in `bytes`. @throws SyntaxError where it isn't JSON. */
  constructor(private readonly bytes: Uint8Array, private readonly json: JsonBytes, at: number) {
    const record = new RecordReader(json);
    this.end = json.elements(at, (start) => {
      const end = record.read(start);
      this.#starts.push(start);
      this.#ends.push(end);
      this.ids.push(record.id);
      return end;
    });
  }

  get length(): number {
    return this.ids.length;
  }

  /**
   * The records that `keep` tells by their number, from 0, each as one line with its end: byte for byte the source's text, except that line
   * ends between its tokens are left out. The lines are made in the page's own bytes, so this can be asked for once only.
   */
  intoLines(keep: (i: number) => boolean): Uint8Array {
    const { bytes, json } = this;
    const first = this.#starts[0] ?? 0;
    let to = first;
    for (let i = 0; i < this.length; i++) {
      if (!keep(i)) continue;
      const start = this.#starts[i]!, end = this.#ends[i]!;
      if (json.hasLineEnds) {
        for (let at = start; at < end; at++) {
          if (bytes[at] !== NEWLINE && bytes[at] !== RETURN) bytes[to++] = bytes[at]!;
        }
      } else {
        if (to !== start) bytes.copyWithin(to, start, end);
        to += end - start;
      }
      bytes[to++] = NEWLINE; // there is room for it: a comma or the list's end follows each record
    }
    return bytes.subarray(first, to);
  }
}

/** The id of the record whose text is `line`, as `Records` would tell it. @throws SyntaxError where it isn't JSON. */
export function idOf(line: Uint8Array): RecordId | undefined {
  const json = new JsonBytes(line);
  const record = new RecordReader(json);
  json.whole((at) => record.read(at));
  return record.id;
}

/** Reads one record after the other. */
class RecordReader {
  /** The id of the record that was read last. As in JSON.parse, the last of duplicate keys counts. */
  id: RecordId | undefined;

  constructor(private readonly json: JsonBytes) {}

  /** Reads the record at `at`; answers the position after it. */
  read(at: number): number {
    this.id = undefined;
    return this.json.isObject(at) ? this.json.members(at, this.#member) : this.json.end(at);
  }

  readonly #member = (key: number, keyEnd: number, at: number): number => {
    const end = this.json.end(at);
    if (this.json.isKey(key, keyEnd, "id")) this.id = idFrom(this.json, at, end);
    return end;
  };
}
