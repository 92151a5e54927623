/** Splits bytes into lines, fast and for any content. */

import { isUtf8 } from "node:buffer";

/** What is wrong with a line as text; its content is validated elsewhere. */
export type Flaw = "invalid-utf8" | "too-long";

/** Consecutive lines of a file. */
export interface LineBatch {
  /** Number of the first line, from 1; blank lines count. */
  readonly first: number;
  /**
   * The lines as in the file, with the line ends between them; absent if a line may be too long or isn't UTF-8. Valid until the next batch is
   * requested.
   */
  readonly bytes?: Uint8Array | undefined;
  /** The position of each line's `\n` in `bytes`; for the last line, the end of `bytes`. */
  readonly ends?: readonly number[] | undefined;
  /** The lines without their ends (`\n` or `\r\n`) and without the file's byte order mark; some may be blank. */
  readonly lines: string[];
  /** The flaws of lines that differ from the file, by index in `lines`. Invalid bytes read as U+FFFD; a line that is too long is cut. */
  readonly flaws: ReadonlyMap<number, Flaw>;
}

/** The longest line to read whole, in bytes: 16 MiB. */
export const MAX_LINE_BYTES: number = 16 * 1024 * 1024;

const NEWLINE = 10;
const NO_FLAWS: ReadonlyMap<number, Flaw> = new Map();

/**
 * Splits `chunks` into lines, one batch for each chunk that ends at least one; the last line needs no line end. A chunk can be reused once the next
 * one is requested. Buffers at most `maxLineBytes` and a chunk of a line.
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  maxLineBytes: number = MAX_LINE_BYTES,
): AsyncGenerator<LineBatch> {
  let first = 1;
  let rest: Uint8Array[] = []; // the beginning of an incomplete line
  let restBytes = 0;
  let atStart = true;
  const keep = (part: Uint8Array) => {
    // two bytes beyond the limit prove that the line is longer, even if one looks like the `\r` of a line end
    if (part.length > 0 && restBytes < maxLineBytes + 2) rest.push(part.slice());
    restBytes += part.length;
  };
  const take = (part: Uint8Array): Uint8Array => {
    const whole = rest.length === 0 ? part : join([...rest, part]);
    rest = [];
    restBytes = 0;
    return whole;
  };
  for await (let chunk of chunks) {
    if (atStart && restBytes + chunk.length >= 3) {
      chunk = withoutMark(take(chunk));
      atStart = false;
    }
    const end = atStart ? -1 : chunk.lastIndexOf(NEWLINE);
    if (end < 0) {
      keep(chunk);
      continue;
    }
    const batch = batchOf(take(chunk.subarray(0, end)), first, maxLineBytes);
    yield batch;
    first += batch.count; // added only now, as the batch is counted once its lines are read
    keep(chunk.subarray(end + 1));
  }
  const last = take(new Uint8Array());
  if (last.length === 0) return;
  // only a file shorter than the mark arrives here with its line end
  yield batchOf(last.at(-1) === NEWLINE ? last.subarray(0, -1) : last, first, maxLineBytes);
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

interface CountedBatch extends LineBatch {
  readonly count: number;
}

function batchOf(bytes: Uint8Array, first: number, maxLineBytes: number): CountedBatch {
  if (bytes.length <= maxLineBytes && isUtf8(bytes)) return new CleanBatch(first, bytes);
  const { lines, flaws } = decodeOneByOne(bytes, maxLineBytes);
  return { first, lines, flaws, count: lines.length };
}

/** Lines without flaws, decoded on demand, as some readers need only the bytes. */
class CleanBatch implements CountedBatch {
  readonly flaws = NO_FLAWS;
  #lines: string[] | undefined;
  #ends: number[] | undefined;

  constructor(readonly first: number, readonly bytes: Uint8Array) {}

  get count(): number {
    return (this.#lines ?? this.ends).length;
  }

  get ends(): number[] {
    if (this.#ends !== undefined) return this.#ends;
    const ends: number[] = [];
    for (let at = this.bytes.indexOf(NEWLINE); at >= 0; at = this.bytes.indexOf(NEWLINE, at + 1)) {
      ends.push(at);
    }
    ends.push(this.bytes.length);
    return this.#ends = ends;
  }

  get lines(): string[] {
    return this.#lines ??= decoder.decode(this.bytes).split("\n").map(withoutReturn);
  }
}

function withoutReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}

function decodeOneByOne(bytes: Uint8Array, maxLineBytes: number): Pick<LineBatch, "lines" | "flaws"> {
  const lines: string[] = [];
  const flaws = new Map<number, Flaw>();
  for (let start = 0; start <= bytes.length;) {
    const found = bytes.indexOf(NEWLINE, start);
    const end = found < 0 ? bytes.length : found;
    const line = bytes.subarray(start, end > start && bytes[end - 1] === 13 ? end - 1 : end);
    if (line.length > maxLineBytes) {
      flaws.set(lines.length, "too-long");
      lines.push(beginning(line, maxLineBytes));
    } else {
      try {
        lines.push(strictDecoder.decode(line));
      } catch {
        flaws.set(lines.length, "invalid-utf8");
        lines.push(decoder.decode(line));
      }
    }
    start = end + 1;
  }
  return { lines, flaws };
}

/** The first bytes of a line as text, without a character that the cut splits. */
function beginning(line: Uint8Array, bytes: number): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(line.subarray(0, bytes), { stream: true });
}

/** The bytes without the byte order mark of UTF-8. */
export function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
