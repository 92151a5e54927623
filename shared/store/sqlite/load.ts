/**
 * Loads the files of a run, each atomically and once.
 *
 * Lines stay bytes from the file to the database: decoding each to a text would cost as much as writing it.
 */
import type { LineBatch } from "../../files/lines.ts";
import type { FileToLoad, LineSource, LoadedFile, LoadOptions } from "../writes.ts";
import type { Database } from "../../sqlite/database.ts";
import { loadOnce, placesOf, refuseLength } from "../loading.ts";
import { baseTable } from "../sql/tables.ts";
import { FileBefore, References, type Span, spanOf, textAt } from "./same.ts";
import { sqlOf } from "./statements.ts";

/** How long a load runs before it lets timers and other work run, in milliseconds. */
const BREATHE_MS = 25;

/** Loads a file in the transaction of `db`: see `Store.loadFile`. */
export function loadFile(
  db: Database,
  file: FileToLoad,
  lines: LineSource,
  options: LoadOptions,
): Promise<LoadedFile> {
  return loadOnce(
    sqlOf(db),
    file,
    lines,
    (firstId, batches) => insertLines(db, file, firstId, batches, options),
  );
}

async function insertLines(
  db: Database,
  file: FileToLoad,
  firstId: number,
  batches: AsyncIterable<LineBatch>,
  { signal, progress }: LoadOptions,
): Promise<number> {
  const before = FileBefore.of(db, file.runId, file.pipeline, file.kind);
  const references = new References(db, file.kind, file.pipeline);
  const texts = new Texts(db, baseTable(file.kind, file.pipeline));
  let records = 0;
  let breathed = performance.now();
  const breathe = async () => {
    signal?.throwIfAborted();
    if (performance.now() - breathed <= BREATHE_MS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    breathed = performance.now();
  };
  for await (const batch of batches) {
    const { bytes, places } = placesOf(batch);
    const spans = places.map((place) => place === undefined ? 0 : spanOf(...place));
    refuseLength(file, batch.first + spans.length - 1);
    const same = before?.find(bytes, spans);
    for (let i = 0; i < spans.length; i++) {
      if (spans[i] === 0) continue;
      const id = firstId + batch.first + i;
      if (same?.[i] === undefined) texts.add(id, spans[i]!);
      else references.add(id, same[i]!);
      records++;
    }
    texts.flush(bytes);
    references.flush();
    if (before?.isLost) await before.readKeys(breathe);
    progress?.(records);
    await breathe();
    signal?.throwIfAborted();
  }
  return records;
}

/** Writes the lines of a batch whose text isn't stored yet. */
class Texts {
  readonly #insert: (first: number, bytes: Uint8Array, spans: string) => void;
  #first = 0;
  #spans: Span[] = [];

  constructor(db: Database, table: string) {
    this.#insert = db.repeat(
      `INSERT INTO ${table} (id, json) SELECT ?1 + key, ${
        textAt("?2", "value")
      } FROM json_each(?3) WHERE value > 0`,
    );
  }

  add(id: number, span: Span): void {
    if (this.#spans.length === 0) this.#first = id;
    while (this.#first + this.#spans.length < id) this.#spans.push(0);
    this.#spans.push(span);
  }

  flush(bytes: Uint8Array): void {
    if (this.#spans.length > 0) this.#insert(this.#first, bytes, `[${this.#spans}]`);
    this.#spans = [];
  }
}
