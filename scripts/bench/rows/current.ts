import { Engine } from "../../../api/sql/engine.ts";
import type { CurrentCursor } from "../../../shared/store/current_rows.ts";
import { openSqlite } from "../../../shared/store/sqlite/open.ts";
import { Users } from "../../../local/source/users.ts";
import { Database } from "../../../shared/sqlite/database.ts";
import { linesOf, usersTables } from "../../../tests/support/store.ts";
import { percentile, spreadOf } from "../measure.ts";
import type { Row } from "../table.ts";

const LINES_AT_ONCE = 1_000;

/** The current table with ten times the users: typical queries, and a load in which 1 % changed. */
export const current: Row = {
  name: "current",
  async *measure({ scale }) {
    const path = `${await Deno.makeTempDir({ dir: "." })}/data.db`;
    const [tables] = usersTables(["ssn"]);
    const shape = { ...tables!.current!, index: ["email"] };
    await using store = await openSqlite(path, { pipelines: [{ ...tables!, current: shape }] });
    const users = scale.users * 10;
    const first = await load(store, users, () => false);
    const second = await load(store, users, (n) => n % 100 === 7);
    const times = `${users} users`;
    yield {
      what: `load where 1 % changed to the first load, ${times}`,
      figure: spreadOf([second.seconds / first.seconds]),
      unit: "x",
      target: { atMost: 0.6 },
    };
    yield {
      what: `bytes that it adds, for 100000 of ${times}`,
      figure: spreadOf([second.bytes / 1e6 / (users / 100_000)]),
      unit: "MB",
      target: { atMost: 20 },
    };
    using reader = new Database(path, { readOnly: true });
    const group = "SELECT department_code, count(*), avg(age) FROM users GROUP BY 1";
    yield {
      what: `users by department with their age, ${times}`,
      figure: spreadOf(timed(scale.turns, () => reader.all(group)).map((ms) => ms / 1000)),
      unit: "s",
      target: { atMost: 0.5 },
    };
    using engine = new Engine(path, { maxRows: 1_000, maxBytes: 1_000_000 });
    yield {
      what: `the same in the SQL console, ${times}`,
      figure: spreadOf(timed(scale.turns, () => engine.query(group)).map((ms) => ms / 1000)),
      unit: "s",
      target: { atMost: 0.5 },
    };
    const key = () => reader.all("SELECT firstName, email FROM users WHERE id = ?", 1 + random(users));
    yield {
      what: `one key of ${times}`,
      figure: spreadOf(timed(1_000, key)),
      unit: "ms",
      target: { atMost: 1 },
    };
    const pages: number[] = [];
    const letter = () => String.fromCharCode(97 + random(26));
    for (let n = 0; n < 300; n++) {
      // every other page begins in the middle
      const after: CurrentCursor | undefined = n % 2 === 0 ? undefined : [letter(), 0];
      const began = performance.now();
      await store.current.page("users", { email: n % 3 === 0 ? { like: `${letter()}%` } : { gt: "a" } }, {
        limit: 100,
        after,
      });
      pages.push(performance.now() - began);
    }
    yield {
      what: `100 of ${times} by an indexed field, 99th percentile`,
      figure: spreadOf([percentile(pages, 0.99)]),
      unit: "ms",
      target: { atMost: 20 },
    };
  },
};

/** Loads the valid users as processed records, some of them changed. */
async function load(
  store: Awaited<ReturnType<typeof openSqlite>>,
  users: number,
  isChanged: (n: number) => boolean,
): Promise<{ seconds: number; bytes: number }> {
  const all = new Users(0, 1);
  const texts = (from: number) =>
    Array.from({ length: Math.min(LINES_AT_ONCE, users - from) }, (_, at) => {
      const text = `${all.json(from + at).slice(0, -1)},"department_code":"D${(from + at) % 13}"}`;
      return isChanged(from + at) ? text.replace('"lastName":"', '"lastName":"New ') : text;
    });
  const run = { runId: crypto.randomUUID(), pipeline: "users", at: new Date().toISOString() };
  const size = () =>
    store.write((db) => db.get<{ page_count: number }>("PRAGMA page_count")!.page_count * 16_384);
  const before = await size();
  await store.announceRun(run);
  let making = 0;
  const began = performance.now();
  for (const kind of ["processed", "invalid"] as const) {
    await store.loadFile(
      { runId: run.runId, pipeline: "users", kind, name: `data/${kind}` },
      async function* (onEnd) {
        for (let from = 0; kind === "processed" && from < users; from += LINES_AT_ONCE) {
          const start = performance.now();
          const lines = texts(from);
          making += performance.now() - start;
          yield { first: from + 1, lines, flaws: new Map() };
        }
        for await (const _ of linesOf([])(onEnd));
      },
    );
  }
  await store.markLoaded({
    ...run,
    rawFile: "",
    processedFile: "",
    dlqFile: "",
    validCount: users,
    invalidCount: 0,
    fields: ["id"],
  });
  await store.tidy();
  return { seconds: (performance.now() - began - making) / 1000, bytes: await size() - before };
}

function timed(times: number, work: () => unknown): number[] {
  return Array.from({ length: times }, () => {
    const began = performance.now();
    work();
    return performance.now() - began;
  });
}

function random(below: number): number {
  return Math.floor(Math.random() * below);
}
