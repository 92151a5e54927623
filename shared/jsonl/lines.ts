/**
 * Bytes into lines, fast and without ever failing on what a line holds.
 *
 * @module
 */

/** What is wrong with a line as text; its content is judged elsewhere. */
export type Flaw = "invalid-utf8" | "too-long";

/** Some lines that follow each other in a file. */
export interface LineBatch {
  /** Number of the first line, from 1; blank lines count. */
  readonly first: number;
  /** The lines without their ends (`\n` or `\r\n`) and without the file's byte order mark. May hold blank lines. */
  readonly lines: string[];
  /** By index in `lines`: those that aren't what the file holds. Invalid bytes read as U+FFFD; a line that is too long is cut. */
  readonly flaws: ReadonlyMap<number, Flaw>;
}

/** The longest line that is handed out whole, in bytes: 16 MiB. */
export const MAX_LINE_BYTES: number = 16 * 1024 * 1024;

const NEWLINE = 10;
const NO_FLAWS: ReadonlyMap<number, Flaw> = new Map();

/** Splits `chunks` into lines, one batch for each chunk that ends at least one; the last line needs no line end. */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  maxLineBytes: number = MAX_LINE_BYTES,
): AsyncGenerator<LineBatch> {
  let first = 1;
  let rest: Uint8Array[] = []; // the beginning of a line whose end is still to come
  let restBytes = 0;
  let atStart = true;
  const keep = (part: Uint8Array) => {
    if (part.length > 0 && restBytes <= maxLineBytes) rest.push(part.slice());
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
    const firstEnd = chunk.indexOf(NEWLINE);
    if (restBytes + firstEnd > maxLineBytes) {
      keep(chunk.subarray(0, firstEnd));
      yield {
        first,
        lines: [decoder.decode(take(new Uint8Array()).subarray(0, maxLineBytes))],
        flaws: new Map([[0, "too-long"]]),
      };
      first += 1;
      if (firstEnd < end) {
        const batch = decodeLines(chunk.subarray(firstEnd + 1, end), first);
        yield batch;
        first += batch.lines.length;
      }
    } else {
      const batch = decodeLines(take(chunk.subarray(0, end)), first);
      yield batch;
      first += batch.lines.length;
    }
    keep(chunk.subarray(end + 1));
  }
  if (restBytes === 0) return;
  const tooLong = restBytes > maxLineBytes;
  const last = withoutMark(take(new Uint8Array()), atStart);
  if (tooLong) {
    yield {
      first,
      lines: [decoder.decode(last.subarray(0, maxLineBytes))],
      flaws: new Map([[0, "too-long"]]),
    };
  } else if (last.length > 0) yield decodeLines(last, first);
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeLines(bytes: Uint8Array, first: number): LineBatch {
  try {
    const lines = strictDecoder.decode(bytes).split("\n");
    for (let i = 0; i < lines.length; i++) if (lines[i]!.endsWith("\r")) lines[i] = lines[i]!.slice(0, -1);
    return { first, lines, flaws: NO_FLAWS };
  } catch {
    return decodeOneByOne(bytes, first);
  }
}

function decodeOneByOne(bytes: Uint8Array, first: number): LineBatch {
  const lines: string[] = [];
  const flaws = new Map<number, Flaw>();
  for (let start = 0; start <= bytes.length;) {
    const found = bytes.indexOf(NEWLINE, start);
    const end = found < 0 ? bytes.length : found;
    const line = bytes.subarray(start, end > start && bytes[end - 1] === 13 ? end - 1 : end);
    try {
      lines.push(strictDecoder.decode(line));
    } catch {
      flaws.set(lines.length, "invalid-utf8");
      lines.push(decoder.decode(line));
    }
    start = end + 1;
  }
  return { first, lines, flaws };
}

function withoutMark(bytes: Uint8Array, atStart = true): Uint8Array {
  return atStart && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
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
