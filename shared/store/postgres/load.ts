/** Loads the files of a run by COPY, each atomically and once. */
import { Buffer } from "node:buffer";
import type { LineBatch } from "../../files/lines.ts";
import { loadOnce, placesOf, refuseLength } from "../loading.ts";
import type { FileToLoad, LineSource, LoadedFile, LoadOptions } from "../writes.ts";
import type { Session } from "./session.ts";
import { baseTable } from "../sql/tables.ts";

/** Loads a file in the transaction of `session`: see `Store.loadFile`. */
export function loadFile(
  session: Session,
  file: FileToLoad,
  lines: LineSource,
  options: LoadOptions,
): Promise<LoadedFile> {
  return loadOnce(session, file, lines, async (firstId, batches) => {
    let records = 0;
    // a COPY may take any time; each wait for the server is limited
    await session.run("SET LOCAL statement_timeout = 0");
    await session.copy(
      `COPY ${baseTable(file.kind, file.pipeline)} (id, json, nul_line) FROM STDIN`,
      rowsOf(file, firstId, batches, options, (count) => records = count),
    );
    await session.run("SET LOCAL statement_timeout TO DEFAULT");
    return records;
  });
}

/** Bytes or characters per piece that is sent. */
export const PIECE = 128 * 1024;

/** The rest of a row after a line whose text is complete, and the most bytes of an id with its tab. */
const REST = Buffer.from("\t\\N\n"), ID_BYTES = 17;

/**
 * Lines as rows in the text format of COPY. Each piece is valid until the next one is requested. Reports the number of rows so far. Lines stay bytes
 * from the file to the server, as decoded texts would fill the heap.
 */
async function* rowsOf(
  file: FileToLoad,
  firstId: number,
  batches: AsyncIterable<LineBatch>,
  { signal, progress }: LoadOptions,
  count: (records: number) => void,
): AsyncGenerator<Uint8Array> {
  let records = 0;
  const piece = Buffer.alloc(PIECE);
  let filled = 0;
  for await (const batch of batches) {
    signal?.throwIfAborted();
    const { bytes, places } = placesOf(batch);
    refuseLength(file, batch.first + places.length - 1);
    const isSpecial = specialIn(bytes);
    for (let i = 0; i < places.length; i++) {
      if (places[i] === undefined) continue;
      records += 1;
      const [start, end] = places[i]!;
      const id = `${firstId + batch.first + i}\t`;
      const length = ID_BYTES + end - start + REST.length;
      const row = length > PIECE || isSpecial(start, end)
        ? Buffer.from(`${id}${valuesOf(bytes.toString("utf8", start, end))}\n`)
        : undefined;
      if (filled + (row?.length ?? length) > PIECE) {
        yield piece.subarray(0, filled);
        filled = 0;
      }
      if (row !== undefined && row.length > PIECE) yield row;
      else if (row !== undefined) filled += row.copy(piece, filled);
      else {
        filled += piece.write(id, filled, "latin1");
        filled += bytes.copy(piece, filled, start, end);
        filled += REST.copy(piece, filled);
      }
    }
    count(records);
    progress?.(records);
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

/** Characters that need escaping in a row: backslash, tab and carriage return for COPY, NUL for TEXT. */
const SPECIAL = [92, 9, 13, 0];

/** Returns a function that checks a range for special characters; ranges must ascend from call to call. */
function specialIn(bytes: Uint8Array): (start: number, end: number) => boolean {
  const next = SPECIAL.map(() => -1);
  return (start, end) =>
    SPECIAL.some((code, n) => {
      if (next[n]! < start) next[n] = bytes.indexOf(code, start);
      if (next[n] === -1) next[n] = Infinity;
      return next[n]! < end;
    });
}

/** The text of a line, and the line as bytes if TEXT can't hold it. */
function valuesOf(line: string): string {
  if (!line.includes("\0")) return `${escaped(line)}\t\\N`;
  return `${escaped(line.replaceAll("\0", "\ufffd"))}\t\\\\x${Buffer.from(line).toString("hex")}`;
}

/** A value in the text format of COPY. */
export function copyValue(value: string | number | null): string {
  return typeof value === "string" ? escaped(value) : value === null ? "\\N" : String(value);
}

function escaped(line: string): string {
  return /[\\\t\r\n]/.test(line)
    ? line.replaceAll("\\", "\\\\").replaceAll("\t", "\\t").replaceAll("\r", "\\r").replaceAll("\n", "\\n")
    : line;
}
