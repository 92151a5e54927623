/**
 * Copies an SQLite database into an empty PostgreSQL database. Every row is compared before the commit; a difference rolls everything back.
 *
 * One transaction fills the database, so an interrupted copy leaves it unchanged. An existing copy is only compared.
 */
import { FILE_KINDS } from "../contracts/names.ts";
import { PermanentError } from "../errors/errors.ts";
import { Postgres } from "./postgres/connection.ts";
import {
  columnsOf,
  contentsOf,
  continueAfter,
  copyRows,
  countOf,
  emptyTables,
  insertChanges,
  insertCurrent,
  lockTables,
  makeTables,
  openQuery,
  type Pages,
  refuseForeign,
} from "./postgres/copied.ts";
import { checkServer, migrate, schemaVersion } from "./postgres/migrate.ts";
import { readsOf } from "./postgres/reads.ts";
import type { Session } from "./postgres/session.ts";
import type { Shown } from "./shown.ts";
import { differenceOf } from "./same_answers.ts";
import { type CopiedRow, type CopiedTable, type PlainTable, SqliteCopied } from "./sqlite/copied.ts";
import { baseTable, changesTable, currentTable } from "./sql/tables.ts";

interface CopyOptions {
  /** The SQLite database. */
  readonly path: string;
  /** The PostgreSQL database. */
  readonly url: string;
  /** What the extractor keeps in files: name and text of each, ordered by name. */
  readonly documents: readonly (readonly [name: string, text: string])[];
  /** Called as rows are copied and compared. */
  readonly progress?: (step: "copy" | "check", table: string, done: number, total: number) => void;
}

export interface Copy {
  /** False if the copy already existed and was only compared. */
  readonly isNew: boolean;
  /** The rows of each table. */
  readonly tables: readonly (readonly [table: string, rows: number])[];
}

/** A table, in both databases. */
interface Part extends CopiedTable {
  /** As SQL of PostgreSQL. */
  readonly table: string;
  write(session: Session, pages: Pages): Promise<void>;
  /** Reads the rows back, with the same first columns as its pages. */
  readonly query: string;
  /** Whether the table exists independently of the pipelines. */
  readonly isPlain?: boolean;
  /** The last generated id; undefined if the table has no generated ids. */
  readonly lastId?: number | undefined;
}

/** Time limit of a statement, in milliseconds: ANALYZE of a large table needs the longest. */
const STATEMENT_MS = 300_000;

/**
 * Copies the database at `path` into the one at `url`, or compares the two if it was copied before.
 *
 * @throws PermanentError if either database can't be used as it is, or the target holds other data. Nothing is changed.
 * @throws TransientError if a database can't be reached, or another program writes to it. Nothing is kept.
 */
export async function copyStore(options: CopyOptions): Promise<Copy> {
  using source = SqliteCopied.open(options.path);
  await using db = new Postgres(options.url, { name: "migrate", max: 1, statementMs: STATEMENT_MS });
  await checkServer(db);
  if (await schemaVersion(db, db.place) === 0) await refuseForeign(db, db.place);
  await migrate(db);
  const pipelines = await source.pipelines();
  const parts = await partsOf(db, source, pipelines, options.documents);
  const plain = parts.filter(({ isPlain }) => isPlain).map(({ table }) => table);
  const copy = (isNew: boolean) => ({
    isNew,
    tables: parts.map(({ table, count }) => [table, count] as const),
  });

  const found = await contentsOf(db, plain);
  if (found.size > 0) {
    const difference = await db.transaction(
      (session) => compare(session, source, parts, options),
      "ISOLATION LEVEL REPEATABLE READ READ ONLY",
    );
    if (difference === undefined) return copy(false);
    const held = [...found].map(([table, rows]) => `${table} ${rows}`).join(", ");
    throw new PermanentError(
      `Cannot copy into ${db.place}: it isn't empty (rows: ${held}), and it isn't a copy of ${options.path} as that is now: ${difference}. ` +
        `Nothing was changed. Name a database that holds nothing; or, where services have worked on this copy since, keep to it.`,
    );
  }
  await db.transaction(async (session) => {
    await lockTables(session, plain);
    const others = await contentsOf(session, plain);
    if (others.size > 0) {
      throw new PermanentError(
        `Cannot copy into ${db.place}: somebody else began to use it. Nothing was changed.`,
      );
    }
    // a COPY may take any time; each wait for the server is limited
    await session.run("SET LOCAL statement_timeout = 0");
    await emptyTables(session, plain);
    for (const part of parts) {
      if (part === parts[DESCRIBING.length]) await makeTables(session, pipelines);
      await part.write(session, pagesWithProgress(part, "copy", options));
      if (part.lastId !== undefined) await continueAfter(session, part.table, part.lastId);
      await session.script(`ANALYZE ${part.table}`);
    }
    const difference = await compare(session, source, parts, options);
    if (difference !== undefined) {
      throw new PermanentError(
        `Cannot copy ${options.path}: the copy isn't the same, ${difference}. Nothing was kept. Please report this as a defect.`,
      );
    }
    if (source.hasChanged()) {
      throw new PermanentError(
        `Cannot copy ${options.path}: somebody wrote to it meanwhile. Nothing was kept. Stop all services and commands, and run this again.`,
      );
    }
  });
  return copy(true);
}

/** The tables that determine which other tables exist. */
const DESCRIBING = ["pipelines", "pipeline_fields"];

/** All tables, first those that determine which others exist. */
async function partsOf(
  session: Session,
  source: SqliteCopied,
  pipelines: readonly Shown[],
  documents: CopyOptions["documents"],
): Promise<Part[]> {
  const state: PlainTable = {
    name: "extractor_state",
    key: "name",
    columns: ["name", "body"],
    lastId: undefined,
    count: documents.length,
    pages: () => [documents.map((row) => row.map((text) => text.replaceAll("\0", "\ufffd")))],
  };
  const known = await columnsOf(session);
  const plain = [...source.tables((column) => known.has(column)), state].map((table): Part => ({
    ...partOf(table.name, table.columns, table.key, table),
    isPlain: true,
    lastId: table.lastId,
  }));
  const describes = ({ table }: Part) => DESCRIBING.includes(table);
  return [
    ...plain.filter(describes),
    ...plain.filter((part) => !describes(part)),
    ...pipelines.flatMap(({ name }) =>
      FILE_KINDS.map((kind) =>
        partOf(baseTable(kind, name), ["id", "json", "nul_line"], "id", source.records(kind, name))
      )
    ),
    ...pipelines.flatMap((shown): Part[] => {
      if (shown.current === null) return [];
      const current = source.current(shown.name);
      const changes = source.changes(shown);
      return [{
        ...partOf(currentTable(shown.name), ["id", "record", "first", "changed", "seen"], "id", current),
        write: (session, pages) => insertCurrent(session, shown, pages),
        lastId: current.lastId,
      }, {
        ...partOf(
          changesTable(shown.name),
          ["move", "change", "fields", "before", "after"],
          "move, key_order, key",
          changes,
        ),
        write: (session, pages) => insertChanges(session, shown, pages),
      }];
    }),
  ];
}

function partOf(table: string, columns: readonly string[], key: string, { count, pages }: CopiedTable): Part {
  return {
    table,
    count,
    pages,
    write: (session, pages) => copyRows(session, table, columns, pages),
    // bytes as text, as they were copied
    query: `SELECT ${columns.map((column) => column === "nul_line" ? "nul_line::text" : column).join(", ")}
      FROM ${table} ORDER BY ${key}`,
  };
}

/** The pages of a table; reports the number of rows read to `progress`. */
function* pagesWithProgress(
  part: Part,
  step: "copy" | "check",
  { progress }: CopyOptions,
): Generator<readonly CopiedRow[]> {
  let done = 0;
  progress?.(step, part.table, done, part.count);
  for (const rows of part.pages()) {
    yield rows;
    done += rows.length;
    progress?.(step, part.table, done, part.count);
  }
  if (done !== part.count) {
    throw new Error(`Read ${done} rows of ${part.table}, though it has ${part.count}.`);
  }
}

/** The first difference between copy and source, without record data; undefined if they are equal. */
async function compare(
  session: Session,
  source: SqliteCopied,
  parts: readonly Part[],
  options: CopyOptions,
): Promise<string | undefined> {
  for (const part of parts) {
    const rows = await countOf(session, part.table);
    if (rows !== part.count) return `${part.table} has ${rows} rows, wanted ${part.count}`;
  }
  for (const [n, part] of parts.entries()) {
    const next = await openQuery(session, `copied_${n}`, part.query);
    for (const wanted of pagesWithProgress(part, "check", options)) {
      const found = await next(wanted.length);
      for (const [i, row] of wanted.entries()) {
        const other = found[i];
        if (other?.every((cell, at) => cell === row[at])) continue;
        return `${part.table} differs at ${row[0]}`;
      }
    }
    await session.script(`CLOSE copied_${n}`);
  }
  return await differenceOf(source.reads, readsOf(session));
}
