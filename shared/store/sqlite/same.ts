/**
 * Finds the records that a file shares with the previous file, so that they are stored once and referred to.
 *
 * A source mostly returns the same records in the same order as before. So each line is compared with the next one of the previous file. If several
 * lines differ, each is compared with the lines that follow there. Only if that keeps failing are lines compared by key.
 */
import type { Database } from "../../sqlite/database.ts";
import type { FileKind } from "../../contracts/names.ts";
import { keySql } from "./record_sql.ts";
import { baseTable, fromRecords, HOLDER, idsOf, TEXT } from "../sql/tables.ts";
import { ShownPipelines } from "../sql/shown.ts";
import { sqlOf } from "./statements.ts";

/** A line's position in the bytes of its batch, as one number: its first byte, counted from 1, and its length. 0 is a line without a record. */
export type Span = number;

/** A line has at most 48 MiB: 16 MiB of invalid UTF-8, each byte replaced by three. */
const LENGTHS = 2 ** 26;

/** The span of the line from `start` to `end`. */
export function spanOf(start: number, end: number): Span {
  return (start + 1) * LENGTHS + end - start;
}

/** The text of the line at `span` in `bytes`, as SQL. */
export function textAt(bytes: string, span: string): string {
  return `CAST(substr(${bytes}, ${span} / ${LENGTHS}, ${span} % ${LENGTHS}) AS TEXT)`;
}

/** Differing lines in a row after which they are searched in the previous file. */
const SHIFTED_AFTER = 4;

/** Records of the previous file that such a search reads. */
const NEAR = 32;

/** Failed searches in a row after which keys are compared. */
const LOST_AFTER = 64;

/** Records per statement that reads keys. */
const KEYS_AT_ONCE = 5_000;

/** The previous file, while a file is loaded. */
export class FileBefore {
  readonly #differing: (first: number, bytes: Uint8Array, spans: string) => [key: number][];
  readonly #near: (first: number, bytes: Uint8Array, span: number) => [id: number][];
  #find: ((bytes: Uint8Array, span: number) => number | undefined) | undefined;
  /** The id of the record with which the next line is compared. */
  #next: number;
  /** Lines per comparison: few after a shift was found. */
  #ahead = Infinity;
  #missed = 0;

  private constructor(
    private readonly db: Database,
    private readonly kind: FileKind,
    private readonly pipeline: string,
    private readonly ids: [first: number, last: number],
  ) {
    const table = baseTable(kind, pipeline);
    const from = fromRecords(kind, pipeline);
    this.#next = ids[0] + 1;
    this.#differing = db.reader(
      `SELECT e.key FROM json_each(?3) AS e LEFT JOIN ${table} AS r ON r.id = ?1 + e.key AND r.id <= ${
        ids[1]
      } LEFT JOIN ${table} AS b ON b.id = r.same_as
       WHERE e.value > 0 AND ${TEXT} IS NOT ${textAt("?2", "e.value")} ORDER BY e.key`,
    );
    this.#near = db.reader(
      `SELECT r.id FROM ${from} WHERE r.id >= ?1 AND r.id < ?1 + ${NEAR} AND r.id <= ${
        ids[1]
      } AND ${TEXT} = ${textAt("?2", "?3")} ORDER BY r.id LIMIT 1`,
    );
  }

  /** The last loaded file of this kind, if neither it nor this run is a correction; a correction shares little with other runs. */
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

  /** For each line of a batch, the record of the previous file with the same text, if any. */
  find(bytes: Uint8Array, spans: readonly Span[]): (number | undefined)[] {
    const found: (number | undefined)[] = [];
    while (found.length < spans.length) {
      const part = spans.slice(found.length, found.length + this.#ahead);
      const differing = new Set(this.#differing(this.#next, bytes, `[${part}]`).map(([at]) => at));
      const shifted = part.findIndex((_, at) => {
        const end = Math.min(at + SHIFTED_AFTER, part.length);
        for (let n = at; n < end; n++) if (!differing.has(n)) return false;
        return true;
      });
      const same = shifted < 0 ? part.length : shifted;
      for (let at = 0; at < same; at++, this.#next++) {
        const isSame = part[at]! > 0 && !differing.has(at);
        found.push(isSame ? this.#next : undefined);
        if (isSame) this.#missed = 0;
      }
      this.#ahead = shifted < 0 ? this.#ahead * 2 : SHIFTED_AFTER * 4;
      while (shifted >= 0 && found.length < spans.length && !this.#findOne(bytes, spans, found));
    }
    return found;
  }

  /** Whether lines must now be compared by key; `readKeys` must be called first. */
  get isLost(): boolean {
    return this.#missed >= LOST_AFTER && this.#find === undefined;
  }

  /** Reads the keys of the previous file; timers run in between. */
  async readKeys(breathe: () => Promise<void>): Promise<void> {
    const { db, kind, pipeline, ids } = this;
    const key = (await new ShownPipelines(sqlOf(db)).get()).get(pipeline)?.current?.key;
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
      `WITH line(text) AS MATERIALIZED (SELECT ${textAt("?1", "?2")})
       SELECT r.id FROM line, ${from} WHERE r.id = (SELECT id FROM temp.before WHERE key = ${
        keySql(key, "line.text")
      }) AND ${TEXT} = line.text`,
    );
    this.#find = (bytes, span) => find(bytes, span)[0]?.[0];
  }

  /** Searches for one line elsewhere than expected. Returns whether the following lines may be in order again. */
  #findOne(bytes: Uint8Array, spans: readonly Span[], found: (number | undefined)[]): boolean {
    const span = spans[found.length]!;
    const isLost = this.#missed >= LOST_AFTER;
    const id = span === 0
      ? undefined
      : isLost
      ? this.#find?.(bytes, span)
      : this.#near(this.#next, bytes, span)[0]?.[0];
    found.push(id);
    if (span > 0) this.#missed++;
    if (id === undefined || (isLost && this.#missed % LOST_AFTER !== 0)) return false;
    this.#next = id + 1;
    if (!isLost) this.#missed = 0;
    return true;
  }
}

/** Writes references to records of the previous file; consecutive ones by one statement. */
export class References {
  readonly #insert: (...values: number[]) => void;
  #from = 0;
  #before = 0;
  #count = 0;

  constructor(db: Database, kind: FileKind, pipeline: string) {
    const table = baseTable(kind, pipeline);
    this.#insert = db.repeat(
      `INSERT INTO ${table} (id, json, same_as) SELECT r.id + ?, '', ${HOLDER} FROM ${table} AS r WHERE r.id BETWEEN ? AND ?`,
    );
  }

  /** Adds record `id` with the text of record `before`. */
  add(id: number, before: number): void {
    if (id !== this.#from + this.#count || before !== this.#before + this.#count) {
      this.flush();
      this.#from = id;
      this.#before = before;
    }
    this.#count++;
  }

  /** Writes the pending references. */
  flush(): void {
    if (this.#count > 0) {
      this.#insert(this.#from - this.#before, this.#before, this.#before + this.#count - 1);
    }
    this.#count = 0;
  }
}
