/**
 * Loading the files of a run: each whole or not at all, and each once, by COPY.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { FileFacts } from "../../files/files.ts";
import type { LineBatch } from "../../files/lines.ts";
import { refuseCount, refuseLength, refuseOther } from "../loading.ts";
import { type FileRow, LINES_PER_FILE } from "../rows.ts";
import type { FileToLoad, LineSource, LoadedFile, LoadOptions } from "../writes.ts";
import { lockFor } from "./locks.ts";
import { baseTable } from "./record_sql.ts";
import type { Session } from "./session.ts";

/**
 * Loads a file in the transaction of `session`: see `Store.loadFile`. Of two savers that load one file at once the second waits for the first, as
 * long as a lock may be waited for.
 */
export async function loadFile(
  session: Session,
  file: FileToLoad,
  lines: LineSource,
  options: LoadOptions,
): Promise<LoadedFile> {
  await lockFor(session, "file", `${file.runId}/${file.kind}`);
  const known = await session.get<FileRow>(
    "SELECT * FROM run_files WHERE run_id = $1 AND kind = $2",
    file.runId,
    file.kind,
  );
  if (known !== undefined) {
    await refuseOther(known, file, lines);
    return { records: known.records, skipped: true };
  }
  const { id } = (await session.get<{ id: number }>(
    `INSERT INTO run_files (run_id, pipeline, kind, name, sha256, bytes, records, loaded_at)
     VALUES ($1, $2, $3, $4, '', 0, 0, $5) RETURNING id`,
    file.runId,
    file.pipeline,
    file.kind,
    file.name,
    new Date().toISOString(),
  ))!;
  let facts: FileFacts | undefined;
  let records = 0;
  // the time of a COPY has no bound, but each of its waits has one
  await session.run("SET LOCAL statement_timeout = 0");
  await session.copy(
    `COPY ${baseTable(file.kind, file.pipeline)} (id, json, nul_line) FROM STDIN`,
    rowsOf(file, id * LINES_PER_FILE, lines((found) => facts = found), options, (count) => records = count),
  );
  await session.run("SET LOCAL statement_timeout TO DEFAULT");
  refuseCount(file, records);
  await session.run(
    "UPDATE run_files SET sha256 = $1, bytes = $2, records = $3 WHERE id = $4",
    facts!.sha256,
    facts!.bytes,
    records,
    id,
  );
  return { records, skipped: false };
}

/** Characters that are sent at once. */
export const PIECE = 128 * 1024;

/** Lines as rows in the text format of COPY; tells how many there were so far. */
async function* rowsOf(
  file: FileToLoad,
  firstId: number,
  batches: AsyncIterable<LineBatch>,
  { signal, progress }: LoadOptions,
  count: (records: number) => void,
): AsyncGenerator<string> {
  let records = 0;
  let piece = "";
  for await (const { first, lines } of batches) {
    signal?.throwIfAborted();
    refuseLength(file, first + lines.length - 1);
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]!;
      if (line.trim() === "") continue;
      piece += `${firstId + first + i}\t${valuesOf(line)}\n`;
      records += 1;
      if (piece.length >= PIECE) {
        yield piece;
        piece = "";
      }
    }
    count(records);
    progress?.(records);
  }
  if (piece !== "") yield piece;
}

/** The text of a line, and the line itself where TEXT can't hold it. */
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
