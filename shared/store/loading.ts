/** What the loads of both engines share: a file's row, reading lines, and refusing files. */
import { Buffer } from "node:buffer";
import { PermanentError } from "../errors/errors.ts";
import type { FileFacts } from "../files/files.ts";
import type { LineBatch } from "../files/lines.ts";
import { type FileRow, LINES_PER_FILE } from "./rows.ts";
import type { Sql } from "./sql/sql.ts";
import type { FileToLoad, LineSource, LoadedFile } from "./writes.ts";

/**
 * Loads a file in the transaction of `sql`: see `Store.loadFile`. `insert` writes its lines as records, the ids counted from `firstId`, and returns
 * their number. If two savers load one file concurrently, the second waits for the first, up to the time limit of locks.
 */
export async function loadOnce(
  sql: Sql,
  file: FileToLoad,
  lines: LineSource,
  insert: (firstId: number, batches: AsyncIterable<LineBatch>) => Promise<number>,
): Promise<LoadedFile> {
  await sql.lock("file", `${file.runId}/${file.kind}`);
  const known = await sql.get<FileRow>(
    "SELECT * FROM run_files WHERE run_id = $1 AND kind = $2",
    file.runId,
    file.kind,
  );
  if (known !== undefined) {
    await refuseOther(known, file, lines);
    return { records: known.records, skipped: true };
  }
  // the row is inserted first, as the records' ids begin with its id; it is invisible until the commit
  const { id } = (await sql.get<{ id: number }>(
    `INSERT INTO run_files (run_id, pipeline, kind, name, sha256, bytes, records, loaded_at)
     VALUES ($1, $2, $3, $4, '', 0, 0, $5) RETURNING id`,
    file.runId,
    file.pipeline,
    file.kind,
    file.name,
    new Date().toISOString(),
  ))!;
  let facts: FileFacts | undefined;
  const records = await insert(id * LINES_PER_FILE, lines((found) => facts = found));
  refuseCount(file, records);
  await sql.run(
    "UPDATE run_files SET sha256 = $1, bytes = $2, records = $3 WHERE id = $4",
    facts!.sha256,
    facts!.bytes,
    records,
    id,
  );
  return { records, skipped: false };
}

/** @throws PermanentError if the file already loaded for this run and kind has other content. */
async function refuseOther(known: FileRow, file: FileToLoad, lines: LineSource): Promise<void> {
  const sha256 = file.sha256 ?? await sha256Of(lines);
  if (known.sha256 === sha256) return;
  throw new PermanentError(
    `Cannot load ${file.name}: for run ${known.run_id} another ${file.kind} file was loaded already (SHA-256 ${known.sha256}, ` +
      `now ${sha256}). What is loaded stays. Start a new run for the new content.`,
  );
}

/** @throws PermanentError if a file doesn't have the announced number of records. */
function refuseCount(file: FileToLoad, records: number): void {
  if (file.records === undefined || records === file.records) return;
  throw new PermanentError(
    `Cannot load ${file.name}: it has ${records} records, but ${file.records} were announced. ` +
      `Nothing of it was loaded. Put the announced file back and replay the dead letter, or start a new run.`,
  );
}

/** @throws PermanentError if a file has more lines than there are ids for. */
export function refuseLength({ name }: FileToLoad, lines: number): void {
  if (lines < LINES_PER_FILE) return;
  throw new PermanentError(
    `Cannot load ${name}: it has more than ${LINES_PER_FILE - 1} lines. Split it.`,
  );
}

async function sha256Of(lines: LineSource): Promise<string> {
  let facts: FileFacts | undefined;
  for await (const _ of lines((found) => facts = found));
  return facts!.sha256;
}

const RETURN = 13, SPACE = 32, DELETE = 127;

/** The bytes of a batch, and the start and end of each line in them, without its line end. A blank line is undefined. */
export function placesOf(
  batch: LineBatch,
): { bytes: Buffer; places: ([start: number, end: number] | undefined)[] } {
  const [bytes, ends] = bytesOf(batch);
  let start = 0;
  const places = ends.map((newline) => {
    const end = newline > start && bytes[newline - 1] === RETURN ? newline - 1 : newline;
    const place: [number, number] | undefined = isBlank(bytes, start, end) ? undefined : [start, end];
    start = newline + 1;
    return place;
  });
  return { bytes, places };
}

function bytesOf(batch: LineBatch): [bytes: Buffer, ends: readonly number[]] {
  const { bytes, ends } = batch;
  if (bytes !== undefined && ends !== undefined) {
    return [Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), ends];
  }
  let end = -1;
  return [
    // a line's own content may end with \r
    Buffer.from(batch.lines.map((line) => `${line}\r`).join("\n")),
    batch.lines.map((line) => end += Buffer.byteLength(line) + 2),
  ];
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  const first = bytes[start]!;
  if (start < end && first > SPACE && first < DELETE) return false;
  return bytes.toString("utf8", start, end).trim() === "";
}
