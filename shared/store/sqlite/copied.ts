/** Reads an SQLite database as rows, from one snapshot, for a copy in another store. */
import { Buffer } from "node:buffer";
import { PermanentError } from "../../errors/errors.ts";
import { FILE_KINDS, type FileKind } from "../../contracts/names.ts";
import { Database, sqlText, type Value } from "../../sqlite/database.ts";
import type { Reads } from "../store.ts";
import { SCHEMA_VERSION, schemaVersion } from "./migrate.ts";
import { SqliteReadStore } from "./open.ts";
import type { Shown } from "../shown.ts";
import { baseTable, changesTable, currentTable, fromRecords, TEXT } from "../sql/tables.ts";
import { versionOf } from "./statements.ts";

/** Values in the order of a table's columns. NUL in TEXT reads as U+FFFD, as PostgreSQL can't store it. */
export type CopiedRow = readonly (string | number | null)[];

/** The maximum number of rows in a page, and of characters of text, as a line may have 16 MiB. */
const [PAGE_ROWS, PAGE_TEXT] = [2_000, 4 * 1024 * 1024];

/** A table: the number of its rows, and all of them in the order of its key. */
export interface CopiedTable {
  readonly count: number;
  pages(): Iterable<CopiedRow[]>;
}

/** A table whose rows are copied unchanged. */
export interface PlainTable extends CopiedTable {
  readonly name: string;
  readonly key: string;
  /** The last generated id; undefined if the table has no generated ids. */
  readonly lastId: number | undefined;
  readonly columns: readonly string[];
}

/** Sizes of this database, which don't apply to another one. */
const OWN = "run_growth";

/** The database's tables as they were when it was opened. */
export class SqliteCopied implements Disposable {
  readonly #version: number;
  /** The reads of the port, from the same snapshot. */
  readonly reads: Reads;

  private constructor(private readonly db: Database) {
    this.#version = versionOf(db);
    db.run("BEGIN");
    this.reads = new SqliteReadStore(db);
  }

  /** @throws PermanentError if the database doesn't exist, or its schema is that of another version. */
  static open(path: string): SqliteCopied {
    const refuse = (wrong: string, todo: string) =>
      new PermanentError(`Cannot copy ${path}: ${wrong}. ${todo}.`);
    try {
      Deno.statSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw refuse("there is no database", "Set DB_PATH to the one that is to be copied");
    }
    const db = new Database(path, { readOnly: true, busyTimeoutMs: 5_000 });
    try {
      const version = schemaVersion(db);
      if (version === SCHEMA_VERSION) return new SqliteCopied(db);
      throw refuse(
        `its schema has version ${version}, wanted ${SCHEMA_VERSION}`,
        "Start the services of this program on it once (deno task start), stop them when they are ready, and run this again",
      );
    } catch (error) {
      db[Symbol.dispose]();
      throw error;
    }
  }

  async pipelines(): Promise<Shown[]> {
    return [...(await this.reads.records.pipelines()).values()];
  }

  /** The tables that exist independently of the pipelines, with their columns in `wanted` (`table.column`). */
  tables(wanted: (column: string) => boolean): PlainTable[] {
    const { db } = this;
    const found = db.all<{ name: string; column: string; type: string; pk: number }>(
      `SELECT t.name, c.name AS "column", c.type, c.pk FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c
       WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND t.name NOT LIKE '%$%' AND t.name <> '${OWN}'
       ORDER BY t.name, c.cid`,
    );
    const records = new Set(FILE_KINDS.map((kind) => `${kind}_records`));
    return [...Map.groupBy(found.filter(({ name }) => !records.has(name)), ({ name }) => name)].map(
      ([name, all]) => {
        const columns = all.filter(({ column }) => wanted(`${name}.${column}`));
        const key = columns.find(({ pk }) => pk === 1)!;
        const values = columns.map(({ column, type }) => type === "TEXT" ? whole(column) : column);
        const isNumber = key.type === "INTEGER";
        return {
          name,
          key: key.column,
          lastId: isNumber ? this.#lastId(name, key.column) : undefined,
          columns: columns.map(({ column }) => column),
          count: this.#count(name),
          pages: () =>
            this.#pages(
              `SELECT ${values.join(", ")} FROM ${name} ORDER BY ${key.column}`,
              (row) => row.map(plain),
            ),
        };
      },
    );
  }

  /** The records of a kind: id, text, and, if the line has NUL characters, the line in hexadecimal. */
  records(kind: FileKind, pipeline: string): CopiedTable {
    return {
      count: this.#count(baseTable(kind, pipeline)),
      pages: () =>
        this.#pages(
          `SELECT r.id, ${whole(TEXT)} FROM ${fromRecords(kind, pipeline)} ORDER BY r.id`,
          ([id, line]) => [plain(id!), plain(line!), line instanceof Uint8Array ? `\\x${hexOf(line)}` : null],
        ),
    };
  }

  /** The current state: id, record, first, changed, seen, and the key as JSON. */
  current(pipeline: string): CopiedTable & { readonly lastId: number } {
    const table = currentTable(pipeline);
    return {
      lastId: this.#lastId(table, "id"),
      count: this.#count(table),
      pages: () =>
        this.#pages(`SELECT id, record, first, changed, seen, json_quote(key) FROM ${table} ORDER BY id`),
    };
  }

  /** The changes of the current state: move, change, fields, before, after, and the key as JSON; ordered by move and key. */
  changes({ name, current }: Shown): CopiedTable {
    const table = changesTable(name);
    // whole numbers of more than 64 bits are text
    const key = current?.keyType === "INTEGER" ? "CAST(key AS TEXT)" : "json_quote(key)";
    return {
      count: this.#count(table),
      pages: () =>
        this.#pages(
          `SELECT move, change, fields, before, after, ${key} FROM ${table} ORDER BY move, ${table}.key`,
        ),
    };
  }

  /** Whether another program has written to the database since it was opened. Ends the snapshot: nothing can be read afterwards. */
  hasChanged(): boolean {
    this.db.run("COMMIT");
    return versionOf(this.db) !== this.#version;
  }

  [Symbol.dispose](): void {
    this.db[Symbol.dispose]();
  }

  #count(table: string): number {
    return this.db.get<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)!.n;
  }

  #lastId(table: string, key: string): number {
    return this.db.get<{ id: number }>(
      `SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = ${sqlText(table)}), 0),
         coalesce((SELECT max(${key}) FROM ${table}), 0)) AS id`,
    )!.id;
  }

  *#pages(
    query: string,
    rowOf: (row: Value[]) => CopiedRow = (row) => row as CopiedRow,
  ): Generator<CopiedRow[]> {
    let [page, text]: [CopiedRow[], number] = [[], 0];
    for (const values of this.db.iterate<Value[]>(query)) {
      const row = rowOf(values);
      page.push(row);
      for (const value of row) text += typeof value === "string" ? value.length : 0;
      if (page.length < PAGE_ROWS && text < PAGE_TEXT) continue;
      yield page;
      [page, text] = [[], 0];
    }
    if (page.length > 0) yield page;
  }
}

/** A text, as bytes if it has NUL characters: `node:sqlite` cuts a text there. */
function whole(text: string): string {
  return `iif(instr(${text}, char(0)) > 0, CAST(${text} AS BLOB), ${text})`;
}

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

function plain(value: Value): string | number | null {
  if (value instanceof Uint8Array) return UTF8.decode(value).replaceAll("\0", "\ufffd");
  return value as string | number | null;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
