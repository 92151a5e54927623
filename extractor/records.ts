/** The records of a page: their text exactly as the source wrote it, and their ids. */
import { Buffer } from "node:buffer";
import { JsonBytes } from "../shared/files/json_bytes.ts";
import { idFrom, type RecordId } from "./ids.ts";
import { PathReader, Paths } from "./paths.ts";

const NEWLINE = 10, RETURN = 13;

/** The paths to read in each record: its key, and the field of `since`. */
export function recordPaths(key: string, since?: string): Paths {
  return new Paths(since === undefined ? [key] : [key, since]);
}

/** The elements of a page's list, in the page's own bytes. */
export class Records {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly ids: (RecordId | undefined)[] = [];
  /** Each record's value of the field of `since`; empty without such a field. */
  readonly moments: unknown[] = [];
  readonly end: number;

  /** Parses the list at `at` of `json`, the text in `bytes`. @throws SyntaxError if it isn't JSON. */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly json: JsonBytes,
    at: number,
    paths: Paths,
  ) {
    const record = new PathReader(json, paths);
    const hasMoments = paths.paths.length > 1;
    this.end = json.elements(at, (start) => {
      const end = record.read(start);
      this.#starts.push(start);
      this.#ends.push(end);
      this.ids.push(idRead(record, json));
      if (hasMoments) this.moments.push(record.value(1));
      return end;
    });
  }

  get length(): number {
    return this.ids.length;
  }

  /** Whether two records have the same text. Don't call it after `intoLines`. */
  isSame(one: number, other: number): boolean {
    const text = (i: number) => Buffer.from(this.bytes.subarray(this.#starts[i]!, this.#ends[i]!));
    return text(one).equals(text(other));
  }

  /** The last record's value at `path`; undefined on an empty page. Don't call it after `intoLines`. */
  last(path: string): unknown {
    const start = this.#starts.at(-1);
    if (start === undefined) return undefined;
    const record = new PathReader(this.json, new Paths([path]));
    record.read(start);
    return record.value(0);
  }

  /**
   * The records whose index `keep` accepts, one per line with its line end. The text is the source's, byte for byte,
   * without line ends between tokens. The lines overwrite the page's own bytes, so call this only once.
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
      bytes[to++] = NEWLINE; // this never overwrites the next record: a comma or the list's end follows each one
    }
    return bytes.subarray(first, to);
  }
}

/** The id of the record in `line`, as `Records` reads it. @throws SyntaxError if it isn't JSON. */
export function idOf(line: Uint8Array, paths: Paths): RecordId | undefined {
  const json = new JsonBytes(line);
  const record = new PathReader(json, paths);
  json.whole((at) => record.read(at));
  return idRead(record, json);
}

function idRead({ starts, ends }: PathReader, json: JsonBytes): RecordId | undefined {
  return starts[0]! < 0 ? undefined : idFrom(json, starts[0]!, ends[0]!);
}
