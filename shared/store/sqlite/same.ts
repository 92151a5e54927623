/**
 * Records that a file has in common with the file before it: they are stored once, and referred to.
 *
 * A source gives most of its records again, in the order of the last time. So each line is looked for among the next ones of the file before, and
 * only where that fails again and again by its key.
 *
 * @module
 */
import type { Database } from "../../sqlite/database.ts";
import type { FileKind } from "../../contracts/names.ts";
import { baseTable, fromRecords, HOLDER, idsOf, keySql, TEXT } from "./record_sql.ts";
import { shownPipelines } from "./shown.ts";

/** Records of the file before that are held at once, and how many of them a line is compared with. */
const HELD = 256;
const COMPARED = 32;

/** Lines in a row that the file before doesn't hold where they are looked for, after which keys are compared. */
const LOST_AFTER = 64;

/** Records whose keys are read by one statement. */
const KEYS_AT_ONCE = 5_000;

/** The file before, while a file is read. */
export class FileBefore {
  readonly #read: (after: number) => [id: number, text: string][];
  #find: ((text: string) => number | undefined) | undefined;
  #held: [id: number, text: string][] = [];
  #at = 0;
  #missed = 0;

  private constructor(
    private readonly db: Database,
    private readonly kind: FileKind,
    private readonly pipeline: string,
    private readonly ids: [first: number, last: number],
  ) {
    const read = db.reader<[number, string]>(
      `SELECT r.id, ${TEXT} FROM ${fromRecords(kind, pipeline)} WHERE r.id > ? AND r.id <= ${
        ids[1]
      } ORDER BY r.id LIMIT ${HELD}`,
    );
    this.#read = (after) => read(after);
    this.#goTo(ids[0] - 1);
  }

  /** The file of this kind that was loaded last, if it can have much in common with one of this run: neither is a correction. */
  static of(db: Database, runId: string, pipeline: string, kind: FileKind): FileBefore | undefined {
    const found = db.get<{ id: number }>(
      `SELECT f.id FROM run_files AS f JOIN etl_runs AS run ON run.run_id = f.run_id
       WHERE f.pipeline = ?1 AND f.kind = ?2 AND f.records > 0 AND f.trimmed_at IS NULL AND run.correction_of IS NULL
         AND NOT EXISTS (SELECT 1 FROM etl_runs WHERE run_id = ?3 AND correction_of IS NOT NULL)
       ORDER BY f.id DESC LIMIT 1`,
      pipeline,
      kind,
      runId,
    );
    return found && new FileBefore(db, kind, pipeline, idsOf(found.id));
  }

  /** The record of the file before that holds this text. */
  find(text: string): number | undefined {
    if (this.#at + COMPARED > this.#held.length && this.#held.length === HELD) {
      this.#goTo(this.#at === 0 ? this.#held[0]![0] - 1 : this.#held[this.#at - 1]![0]);
    }
    const held = this.#held;
    const end = Math.min(held.length, this.#at + COMPARED);
    for (let at = this.#at; at < end; at++) {
      if (held[at]![1] !== text) continue;
      this.#at = at + 1;
      this.#missed = 0;
      return held[at]![0];
    }
    return this.#missed++ < LOST_AFTER ? undefined : this.#findByKey(text);
  }

  /** Whether keys should be compared, for which they have to be read first. */
  get isLost(): boolean {
    return this.#missed >= LOST_AFTER && this.#find === undefined;
  }

  /** Reads the keys of the file before; lets timers in between. */
  async readKeys(breathe: () => Promise<void>): Promise<void> {
    const { db, kind, pipeline, ids } = this;
    const key = shownPipelines(db).get(pipeline)?.current?.key;
    this.#find = () => undefined;
    if (key === undefined) return;
    const from = fromRecords(kind, pipeline);
    db.script(
      "CREATE TEMP TABLE IF NOT EXISTS before (key PRIMARY KEY, id INTEGER NOT NULL); DELETE FROM temp.before",
    );
    for (let at = ids[0]; at <= ids[1];) {
      const last = db.get<{ id: number | null }>(
        `SELECT max(id) AS id FROM (SELECT id FROM ${
          baseTable(kind, pipeline)
        } WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ${KEYS_AT_ONCE})`,
        at,
        ids[1],
      )!.id;
      if (last === null) break;
      db.run(
        `INSERT OR REPLACE INTO temp.before SELECT ${
          keySql(key, TEXT)
        }, r.id FROM ${from} WHERE r.id BETWEEN ? AND ?`,
        at,
        last,
      );
      at = last + 1;
      await breathe();
    }
    const find = db.reader<[number]>(
      `SELECT r.id FROM ${from} WHERE r.id = (SELECT id FROM temp.before WHERE key = ${
        keySql(key, "?1")
      }) AND ${TEXT} = ?1`,
    );
    this.#find = (text) => find(text)[0]?.[0];
  }

  #findByKey(text: string): number | undefined {
    const id = this.#find?.(text);
    // the lines from here on may come in order again
    if (id !== undefined && this.#missed % LOST_AFTER === 0) this.#goTo(id);
    return id;
  }

  #goTo(after: number): void {
    this.#held = this.#read(after);
    this.#at = 0;
  }
}

/** Writes the references: those of records that follow each other at once. */
export class References {
  readonly #insert: (...values: number[]) => void;
  #from = 0;
  #before = 0;
  #count = 0;

  /** Writes to a pipeline's table of a kind. */
  constructor(db: Database, kind: FileKind, pipeline: string) {
    const table = baseTable(kind, pipeline);
    this.#insert = db.repeat(
      `INSERT INTO ${table} (id, json, same_as) SELECT r.id + ?, '', ${HOLDER} FROM ${table} AS r WHERE r.id BETWEEN ? AND ?`,
    );
  }

  /** Record `id` has the text of record `before`. */
  add(id: number, before: number): void {
    if (id !== this.#from + this.#count || before !== this.#before + this.#count) {
      this.flush();
      this.#from = id;
      this.#before = before;
    }
    this.#count++;
  }

  /** Writes what wasn't written yet. */
  flush(): void {
    if (this.#count > 0) {
      this.#insert(this.#from - this.#before, this.#before, this.#before + this.#count - 1);
    }
    this.#count = 0;
  }
}
