/** The records of a page: the text of each exactly as the source wrote it, and its id. */
import { JsonBytes } from "../shared/files/json_bytes.ts";
import { idFrom, type RecordId } from "./ids.ts";
import { PathReader, Paths } from "./paths.ts";

const NEWLINE = 10, RETURN = 13;

/** The paths to read of each record: its key, and the field of `since`. */
export function recordPaths(key: string, since?: string): Paths {
  return new Paths(since === undefined ? [key] : [key, since]);
}

/** The elements of a page's list, in the page's own bytes. */
export class Records {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly ids: (RecordId | undefined)[] = [];
  /** Each record's value of the field of `since`; empty without one. */
  readonly moments: unknown[] = [];
  readonly end: number;

  /** Reads the list at `at` of `json`, the text in `bytes`. @throws SyntaxError where it isn't JSON. */
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

  /** The last record's value at `path`; undefined on an empty page. Not to be called after `intoLines`. */
  last(path: string): unknown {
    const start = this.#starts.at(-1);
    if (start === undefined) return undefined;
    const record = new PathReader(this.json, new Paths([path]));
    record.read(start);
    return record.value(0);
  }

  /**
   * The records that `keep` selects by their number, from 0, each as one line with its end: byte for byte the source's text, without line
   * ends between its tokens. The lines are made in the page's own bytes, so this can be called once only.
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

/** The id of the record in `line`, as `Records` reads it. @throws SyntaxError where it isn't JSON. */
export function idOf(line: Uint8Array, paths: Paths): RecordId | undefined {
  const json = new JsonBytes(line);
  const record = new PathReader(json, paths);
  json.whole((at) => record.read(at));
  return idRead(record, json);
}

function idRead({ starts, ends }: PathReader, json: JsonBytes): RecordId | undefined {
  return starts[0]! < 0 ? undefined : idFrom(json, starts[0]!, ends[0]!);
}
