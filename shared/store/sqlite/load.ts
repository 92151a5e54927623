/**
 * Loading the files of a run: each whole or not at all, and each once.
 *
 * @module
 */
import { PermanentError } from "../../errors/errors.ts";
import type { FileFacts } from "../../files/files.ts";
import type { LineBatch } from "../../files/lines.ts";
import type { Store } from "./open.ts";
import type { FileKind } from "../../contracts/names.ts";
import type { FileRow } from "./runs.ts";
import type { Database } from "../../sqlite/database.ts";
import { baseTable, LINES_PER_FILE } from "./record_sql.ts";
import { FileBefore, References } from "./same.ts";

export interface FileToLoad {
  /** The run that it belongs to. */
  readonly runId: string;
  readonly pipeline: string;
  /** Which of the run's files it is. */
  readonly kind: FileKind;
  /** Its path, as in messages. */
  readonly name: string;
  /** What its SHA-256 has to be, where that was announced. */
  readonly sha256?: string | undefined;
  /** How many records it has to hold, where that was announced. */
  readonly records?: number | undefined;
}

/** Opens a file's lines; `onEnd` has to be called with what was read, after the last line. Throws where the bytes aren't as announced. */
export type LineSource = (onEnd: (facts: FileFacts) => void) => AsyncIterable<LineBatch>;

export interface LoadedFile {
  readonly records: number;
  /** Whether it had been loaded before, so that nothing was done. */
  readonly skipped: boolean;
}

/** What a load reports to, and obeys. */
export interface LoadOptions {
  /** Gives the load up; nothing of the file stays. */
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the records of the file so far. */
  readonly progress?: ((records: number) => void) | undefined;
}

/** How long a load works before it lets timers and other work in, in milliseconds. */
const BREATHE_MS = 25;

/**
 * Loads a file's lines as records, in one transaction with the row that says so. Blank lines are passed over, but counted as lines.
 * A file that was loaded already is not loaded again, and where its SHA-256 was announced not even read.
 *
 * @throws PermanentError when the run's file of this kind was loaded with other content, or its records aren't as many as announced.
 * @throws whatever `lines` throws, such as that the bytes aren't the announced ones; nothing of the file stays then.
 */
export function loadFile(
  store: Store,
  file: FileToLoad,
  lines: LineSource,
  options: LoadOptions = {},
): Promise<LoadedFile> {
  return store.write(async (db) => {
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
  }, { signal: options.signal });
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
