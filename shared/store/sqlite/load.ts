/**
 * Loading the files of a run: each whole or not at all, and each once.
 *
 * @module
 */
import { PermanentError } from "../../errors/errors.ts";
import type { FileFacts } from "../../files/files.ts";
import type { LineBatch } from "../../files/lines.ts";
import type { FileRow } from "../rows.ts";
import type { FileToLoad, LineSource, LoadedFile, LoadOptions } from "../writes.ts";
import type { Database } from "../../sqlite/database.ts";
import { LINES_PER_FILE } from "../rows.ts";
import { baseTable } from "./record_sql.ts";
import { FileBefore, References } from "./same.ts";

/** How long a load works before it lets timers and other work in, in milliseconds. */
const BREATHE_MS = 25;

/** Loads a file in the transaction of `db`: see `Store.loadFile`. */
export async function loadFile(
  db: Database,
  file: FileToLoad,
  lines: LineSource,
  options: LoadOptions,
): Promise<LoadedFile> {
  const known = db.get<FileRow>(
    "SELECT * FROM run_files WHERE run_id = ? AND kind = ?",
    file.runId,
    file.kind,
  );
  if (known !== undefined) {
    refuseOther(known, file, file.sha256 ?? await sha256Of(lines));
    return { records: known.records, skipped: true };
  }
  // the row comes first, as the records' ids begin with its id; it is invisible until it is complete
  const fileId = db.get<{ id: number }>(
    `INSERT INTO run_files (run_id, pipeline, kind, name, sha256, bytes, records, loaded_at)
     VALUES (?, ?, ?, ?, '', 0, 0, ?) RETURNING id`,
    file.runId,
    file.pipeline,
    file.kind,
    file.name,
    new Date().toISOString(),
  )!.id;
  let facts: FileFacts | undefined;
  const records = await insertLines(
    db,
    file,
    fileId * LINES_PER_FILE,
    lines((found) => facts = found),
    options,
  );
  if (file.records !== undefined && records !== file.records) {
    throw new PermanentError(
      `Cannot load ${file.name}: it has ${records} records, but ${file.records} were announced. ` +
        `Nothing of it was loaded. Put the announced file back and replay the dead letter, or start a new run.`,
    );
  }
  db.run(
    "UPDATE run_files SET sha256 = ?, bytes = ?, records = ? WHERE id = ?",
    facts!.sha256,
    facts!.bytes,
    records,
    fileId,
  );
  return { records, skipped: false };
}

function refuseOther(known: FileRow, file: FileToLoad, sha256: string): void {
  if (known.sha256 === sha256) return;
  throw new PermanentError(
    `Cannot load ${file.name}: for run ${known.run_id} another ${file.kind} file was loaded already (SHA-256 ${known.sha256}, ` +
      `now ${sha256}). What is loaded stays. Start a new run for the new content.`,
  );
}

async function sha256Of(lines: LineSource): Promise<string> {
  let facts: FileFacts | undefined;
  for await (const _ of lines((found) => facts = found));
  return facts!.sha256;
}

async function insertLines(
  db: Database,
  file: FileToLoad,
  firstId: number,
  batches: AsyncIterable<LineBatch>,
  { signal, progress }: LoadOptions,
): Promise<number> {
  const insert = db.repeat(`INSERT INTO ${baseTable(file.kind, file.pipeline)} (id, json) VALUES (?, ?)`);
  const before = FileBefore.of(db, file.runId, file.pipeline, file.kind);
  const references = new References(db, file.kind, file.pipeline);
  let records = 0;
  let breathed = performance.now();
  const breathe = async () => {
    signal?.throwIfAborted();
    if (performance.now() - breathed <= BREATHE_MS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    breathed = performance.now();
  };
  for await (const { first, lines } of batches) {
    if (first + lines.length > LINES_PER_FILE) {
      throw new PermanentError(
        `Cannot load ${file.name}: it has more than ${LINES_PER_FILE - 1} lines. Split it.`,
      );
    }
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]!;
      if (line.trim() === "") continue;
      const same = before?.find(line);
      if (same === undefined) insert(firstId + first + i, line);
      else references.add(firstId + first + i, same);
      records++;
    }
    references.flush();
    if (before?.isLost) await before.readKeys(breathe);
    progress?.(records);
    await breathe();
    signal?.throwIfAborted();
  }
  return records;
}
