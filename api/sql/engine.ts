/** Runs a user's SELECT: read-only, on the views only, within limits that SQLite enforces. */
import { Database, type Value } from "../../shared/sqlite/database.ts";
import { SqlRefused } from "./errors.ts";
import { FUNCTIONS, READABLE } from "./allowed.ts";
import { rowJson } from "./row_json.ts";
import { singleSelect } from "./statement.ts";

export interface Bounds {
  readonly maxRows: number;
  /** Maximum size of the rows' JSON, and of any value, in bytes. */
  readonly maxBytes: number;
}

interface Answered {
  readonly columns: string[];
  /** The JSON array of rows, an object for each. */
  readonly rows: string;
  readonly truncated: boolean;
}

/** Maximum memory of SQLite, in bytes. */
const MAX_HEAP = 128 * 1024 * 1024;

/** Maximum size while the schema is read, with views of hundreds of columns. */
const SCHEMA_BYTES = 1_000_000;

const [READ, SELECT, FUNCTION, RECURSIVE] = [20, 21, 31, 33];

export class Engine implements Disposable {
  readonly #db: Database;
  /** Views of records; their tables are read only through them. */
  #views: ReadonlySet<string> = new Set();
  #tables: ReadonlySet<string> = new Set();
  #isOurs = false;
  /** An unguessable name for the console's own schema. */
  readonly #keep = `keep_${crypto.randomUUID().replaceAll("-", "")}`;
  #take: (values: Value[]) => boolean = () => false;

  constructor(path: string, private readonly bounds: Bounds) {
    this.#db = new Database(path, {
      readOnly: true,
      busyTimeoutMs: 1000,
      limits: {
        length: Math.max(bounds.maxBytes, SCHEMA_BYTES),
        sqlLength: 200_000,
        exprDepth: 200,
        compoundSelect: 50,
        vdbeOp: 250_000,
        functionArg: 1000,
        attach: 0,
      },
    });
    // sorted and grouped rows stay in memory, and memory is limited: no query fills the disk
    this.#db.script(`PRAGMA hard_heap_limit = ${MAX_HEAP}; PRAGMA temp_store = MEMORY;`);
    this.#db.define(this.#keep, (...values) => this.#take(values) ? 0 : 1);
    this.#db.authorize((...request) => this.#isOurs || this.#allows(...request));
  }

  /** @throws SqlRefused with the problem of the statement. */
  query(sql: string): Answered {
    this.#look();
    const select = singleSelect(sql, this.#views, this.#tables, this.#keep);
    try {
      const columns = this.#db.columns(select).map((name) => name.replaceAll(this.#keep, ""));
      return { columns, ...this.#rows(select, columns) };
    } catch (error) {
      if (error instanceof SqlRefused) throw error;
      throw new SqlRefused(this.#explained(error));
    }
  }

  [Symbol.dispose](): void {
    this.#db[Symbol.dispose]();
  }

  /** Reads the names of views and tables: those of a new pipeline appear at the saver's start. */
  #look(): void {
    this.#isOurs = true;
    try {
      const found = this.#db.all<{ type: string; name: string }>(
        "SELECT type, lower(name) AS name FROM sqlite_schema WHERE type IN ('table', 'view')",
      );
      const named = (type: string) =>
        new Set(found.filter((item) => item.type === type).map(({ name }) => name));
      this.#views = named("view");
      this.#tables = named("table").difference(READABLE);
    } finally {
      this.#isOurs = false;
    }
  }

  /**
   * A function of the console receives the rows one by one, and ends the query at a limit. Both LIMITs keep SQLite from
   * flattening the user's SELECT into the outer one, which would return rows before they are sorted.
   */
  #rows(select: string, columns: readonly string[]): Pick<Answered, "rows" | "truncated"> {
    const { maxRows, maxBytes } = this.bounds;
    const rows: string[] = [];
    let bytes = 2;
    this.#take = (values) => {
      const row = rowJson(columns, values);
      bytes += new TextEncoder().encode(row).length + 1;
      if (rows.length === maxRows || bytes > maxBytes) return false;
      rows.push(row);
      return true;
    };
    const names = columns.map((_, at) => `c${at}`).join(", ");
    const { rows: cut } = this.#db.table(
      `WITH kept(${names}) AS (SELECT * FROM (\n${select}\n) LIMIT ${
        maxRows + 1
      }) SELECT 1 FROM kept WHERE ${this.#keep}(${names}) LIMIT 1`,
    );
    return { rows: `[${rows.join(",")}]`, truncated: cut.length > 0 };
  }

  #allows(
    action: number,
    first: string | null,
    second: string | null,
    database: string | null,
    view: string | null,
  ): boolean {
    if (action === SELECT || action === RECURSIVE) return true;
    if (action === FUNCTION) return second === this.#keep || FUNCTIONS.has(second?.toLowerCase() ?? "");
    if (action !== READ) return false;
    const table = first?.toLowerCase() ?? "";
    if (READABLE.has(table) || this.#views.has(table)) return true;
    if (view !== null && this.#views.has(view.toLowerCase())) return true;
    // the number of rows only, not their content: of a common table expression, or of a table below a view
    return second === "" &&
      (database === "main" || !(this.#tables.has(table) || /^(sqlite|pragma)_/.test(table)));
  }

  #explained(error: unknown): string {
    const text = (error instanceof Error ? error.message : String(error)).replaceAll(this.#keep, "");
    if (/prohibited|not authorized/.test(text)) {
      return `${text}; only SELECT on ${
        ["etl_runs", ...this.#views].join(", ")
      } and everyday functions are allowed`;
    }
    if (/too big|out of memory/.test(text)) return `${text}; the query makes values that are too large`;
    return text;
  }
}
