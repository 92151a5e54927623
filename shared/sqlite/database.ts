/** The one wrapper over `node:sqlite`: binds and reads values without its traps, and turns its errors into the pipeline's two kinds. */
import { DatabaseSync, type DatabaseSyncOptions, type StatementSync } from "node:sqlite";
import { NoSpace, PermanentError, TransientError } from "../errors/errors.ts";

/** What SQLite can hold and hand out. Integers beyond 2^53 come as `bigint`, and only where exact reading was asked for. */
export type Value = string | number | bigint | Uint8Array | null;

/** What can be bound to a parameter: `undefined` becomes NULL, booleans become 1 and 0, whole numbers become INTEGER. */
type Bindable = Value | boolean | undefined;

/** The outcome of a query as people see it: the names in order, and a value for each. */
interface Table {
  readonly columns: string[];
  /** One array for each row, in the order of `columns`. */
  readonly rows: Value[][];
}

/** Upper bounds that SQLite itself enforces, as in `sqlite3_limit`. */
interface Limits {
  /** Longest text, blob or row, in bytes. */
  readonly length?: number;
  readonly sqlLength?: number;
  readonly exprDepth?: number;
  /** Most terms in a compound SELECT. */
  readonly compoundSelect?: number;
  /** Most instructions in a compiled statement. */
  readonly vdbeOp?: number;
  /** Most arguments of a function. */
  readonly functionArg?: number;
  readonly attach?: number;
}

interface OpenOptions {
  /** Never writes; the file has to be there. Default false. */
  readonly readOnly?: boolean;
  /** How long a statement may block the whole process on another's lock, in milliseconds. Default 0. */
  readonly busyTimeoutMs?: number;
  /** Bounds for statements that come from outside. */
  readonly limits?: Limits;
  /** What to do with a file that is damaged or no database. */
  readonly ifDamaged?: string;
}

/**
 * Decides whether a statement that is being compiled may do `action` (a code of `sqlite3_set_authorizer`): true lets it, false makes the
 * statement an error. `view` names the view through which a table is read.
 */
type Authorizer = (
  action: number,
  first: string | null,
  second: string | null,
  database: string | null,
  view: string | null,
) => boolean;

/** Another connection holds the lock that was wanted. */
export class BusyError extends TransientError {
  override readonly name: string = "BusyError";
}

/** Statements that a connection keeps compiled. */
const KEPT_STATEMENTS = 200;

/** A connection. All methods throw what `sqliteError` makes of SQLite's errors. */
export class Database implements Disposable {
  readonly #native: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #ifDamaged: string;

  /**
   * Opens the database file `path`; without `readOnly` an absent file is created.
   *
   * @throws PermanentError when it can't be opened.
   */
  constructor(
    readonly path: string,
    options: OpenOptions = {},
  ) {
    const native: DatabaseSyncOptions & { limits?: Limits } = {
      readOnly: options.readOnly ?? false,
      timeout: options.busyTimeoutMs ?? 0,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    };
    this.#ifDamaged = options.ifDamaged ??
      "Move the file away, put a backup in its place (or none, to begin with an empty database), and start again.";
    this.#native = this.#guard(() => new DatabaseSync(path, native));
  }

  get isOpen(): boolean {
    return this.#native.isOpen;
  }

  get inTransaction(): boolean {
    return this.#native.isTransaction;
  }

  /** Runs several statements without parameters. */
  script(sql: string): void {
    this.#guard(() => this.#native.exec(sql));
  }

  /** Runs one statement; returns the number of rows it changed. */
  run(sql: string, ...values: Bindable[]): number {
    return this.#guard(() => Number(this.#statement(sql).run(...values.map(toNative)).changes));
  }

  /** Compiles a statement for a loop; the answered function runs it with values that must be texts, bytes or safe integers. */
  repeat(sql: string): (...values: (string | Uint8Array | number)[]) => void {
    const statement = this.#guard(() => this.#native.prepare(sql));
    // a number is bound as REAL, which an INTEGER column turns back without loss; a BigInt for each row would cost more
    return (...values) => void this.#guard(() => statement.run(...values));
  }

  /** Compiles a query for a loop; the returned function returns its rows as arrays, whose integers are below 2^53. */
  reader<Row extends Value[]>(sql: string): (...values: (string | Uint8Array | number)[]) => Row[] {
    const statement = this.#guard(() => this.#native.prepare(sql));
    returnArrays(statement);
    return (...values) => this.#guard(() => statement.all(...values) as unknown as Row[]);
  }

  /**
   * The rows of a query, one at a time, as arrays whose integers are below 2^53. The caller must know their number: `node:sqlite` takes an
   * error during a query for the end.
   */
  *iterate<Row extends Value[]>(sql: string): Generator<Row> {
    const statement = this.#guard(() => this.#native.prepare(sql));
    returnArrays(statement);
    const rows = this.#guard(() => statement.iterate() as unknown as Iterator<Row>);
    for (;;) {
      const { value, done } = this.#guard(() => rows.next());
      if (done) return;
      yield value;
    }
  }

  /** All rows of a query over our own tables, whose integers are below 2^53. `T` is the shape that the query selects. */
  all<T>(sql: string, ...values: Bindable[]): T[] {
    return this.#guard(() =>
      this.#statement(sql).all(...values.map(toNative)).map((row) => ({ ...row }) as T)
    );
  }

  /** The first row of a query, as `all`. */
  get<T>(sql: string, ...values: Bindable[]): T | undefined {
    return this.#guard(() => {
      const row = this.#statement(sql).get(...values.map(toNative));
      return row === undefined ? undefined : { ...row } as T;
    });
  }

  /**
   * A query over views or of unknown shape, compiled each time, as its columns may have changed; large integers stay exact. All rows at
   * once: `iterate` of `node:sqlite` takes an error during a query for the end.
   */
  table(sql: string, ...values: Bindable[]): Table {
    const bound = values.map(toNative);
    return this.#guard(() => {
      for (;;) {
        const statement = this.#native.prepare(sql);
        statement.setReadBigInts(true);
        returnArrays(statement); // so that two columns of one name are both there
        const columns = namesOf(statement);
        const rows = statement.all(...bound) as unknown as Value[][];
        // another connection's change to a view is noticed at the first step only: then the rows have the wrong columns
        if (columns.join("\0") === namesOf(statement).join("\0")) {
          return { columns, rows: rows.map((row) => row.map(fromNative)) };
        }
      }
    });
  }

  /** The names of the columns that a query answers; compiles it, but doesn't run it. */
  columns(sql: string): string[] {
    return this.#guard(() => this.#native.prepare(sql).columns().map((column) => column.name ?? ""));
  }

  /** Makes `work` callable in SQL as `name`, with any number of arguments. It must not throw: `node:sqlite` would lose that. */
  define(name: string, work: (...values: Value[]) => Value): void {
    this.#guard(() => this.#native.function(name, { varargs: true, useBigIntArguments: true }, work));
  }

  /** Has every statement that is compiled from now on judged by `authorizer`. */
  authorize(authorizer: Authorizer): void {
    (this.#native as DatabaseSync & {
      setAuthorizer(judge: (...request: Parameters<Authorizer>) => number): void;
    })
      .setAuthorizer((...request) => authorizer(...request) ? 0 : 1);
  }

  /** Closes the connection; once is enough, twice does no harm. */
  [Symbol.dispose](): void {
    this.#statements.clear();
    if (this.#native.isOpen) this.#native.close();
  }

  #statement(sql: string): StatementSync {
    const kept = this.#statements.get(sql);
    if (kept !== undefined) return kept;
    if (this.#statements.size >= KEPT_STATEMENTS) this.#statements.clear();
    const statement = this.#native.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw sqliteError(this.path, error, this.#ifDamaged);
    }
  }
}

/** Quotes `text` as an SQL string. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Quotes `name` as an SQL identifier. */
export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * Classifies an error of `node:sqlite`: locks, a full disk and I/O errors are transient; a damaged or foreign file and missing rights are
 * permanent. Everything else (a mistake in the SQL) is answered as it is.
 */
export function sqliteError(path: string, error: unknown, ifDamaged: string): unknown {
  if (!(error instanceof Error) || !("code" in error) || error.code !== "ERR_SQLITE_ERROR") return error;
  const code = "errcode" in error && typeof error.errcode === "number"
    ? error.errcode & 0xff
    : CODES.find(([text]) => error.message.startsWith(text))?.[1];
  const options = { cause: error };
  switch (code) {
    case BUSY:
    case LOCKED:
    case PROTOCOL:
      return new BusyError(
        `Cannot use ${path}: another process holds its lock. It will be retried.`,
        options,
      );
    case FULL:
      return new NoSpace(
        `Cannot write to ${path}: the disk is full. Make room; it will be retried.`,
        options,
      );
    case IOERR:
      return new TransientError(
        `Cannot use ${path}: ${error.message}. Look at the disk's health; it will be retried.`,
        options,
      );
    case CORRUPT:
    case NOTADB:
      return new PermanentError(
        `Cannot use ${path}: ${error.message}. Nothing was overwritten. ${ifDamaged}`,
        options,
      );
    case READONLY:
    case PERM:
    case CANTOPEN:
      return new PermanentError(
        `Cannot use ${path}: ${error.message}. Give the user that runs this service the right to write the file and its folder, and start again.`,
        options,
      );
    default:
      return error;
  }
}

const [PERM, BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB] = [
  3,
  5,
  6,
  8,
  10,
  11,
  13,
  14,
  15,
  26,
];

/** SQLite's own texts (`sqlite3ErrStr`), as errors of opening and of scripts carry no code. */
const CODES: readonly (readonly [text: string, code: number | undefined])[] = [
  ["database is locked", BUSY],
  ["database table is locked", LOCKED],
  ["database schema is locked", LOCKED],
  ["locking protocol", PROTOCOL],
  ["database or disk is full", FULL],
  ["disk I/O error", IOERR],
  ["database disk image is malformed", CORRUPT],
  ["malformed database schema", CORRUPT],
  ["file is not a database", NOTADB],
  ["attempt to write a readonly database", READONLY],
  ["unable to open database file", CANTOPEN],
  ["access permission denied", PERM],
];

function returnArrays(statement: StatementSync): void {
  (statement as StatementSync & { setReturnArrays(on: boolean): void }).setReturnArrays(true);
}

function namesOf(statement: StatementSync): string[] {
  return statement.columns().map((column) => column.name ?? "");
}

/** `node:sqlite` binds a number as REAL, a Date as NULL, and refuses booleans and undefined. */
function toNative(value: Bindable): Value {
  if (value === undefined) return null;
  if (typeof value === "boolean") return value ? 1n : 0n;
  return typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
}

function fromNative(value: Value): Value {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
