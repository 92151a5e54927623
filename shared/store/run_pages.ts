import type { RunCursor, RunFilter, RunRow } from "./rows.ts";
import type { Runs } from "./store.ts";

/** Number of runs whose rows are in memory at once. */
const RUNS_AT_ONCE = 100;

/** All runs that fit `filter`, newest first, in pages. */
export async function* runPages(runs: Runs, filter: RunFilter): AsyncGenerator<RunRow[]> {
  let after: RunCursor | undefined;
  for (;;) {
    const page = await runs.page(filter, { limit: RUNS_AT_ONCE, after });
    yield page;
    if (page.length < RUNS_AT_ONCE) return;
    after = page.at(-1);
  }
}
