/**
 * Runs the cases: uninterrupted, stopped after each page, and killed at requests. A run that succeeds with
 * missing records is always an error.
 *
 * @module
 */
import assert from "node:assert/strict";
import { messageOf, PermanentError } from "../../shared/errors/errors.ts";
import { type PagedSource, startPaged, Stopped } from "../support/paged_source.ts";
import { ANSWERS } from "./answers.ts";
import type { RackCase } from "./case.ts";
import { CHANGED } from "./changed.ts";
import { killedAt } from "./kill.ts";
import { EVERYTHING, LINKED } from "./linked.ts";
import { NUMBERS } from "./numbers.ts";
import { OFFSETS } from "./offsets.ts";
import { usersOf } from "./users.ts";

const OTHERS: readonly RackCase[] = [...ANSWERS, ...OFFSETS, ...NUMBERS, ...LINKED, ...CHANGED];

/** All cases, in the order of the table. */
export const RACK: readonly RackCase[] = [...OTHERS, ...OTHERS.flatMap(usersOf)];

interface Verdict {
  readonly lines?: readonly string[];
  readonly beganAgain?: unknown;
  readonly reason?: string;
}

async function verdictOf(paged: PagedSource, rack: RackCase, pages?: number): Promise<Verdict> {
  const { source, pipeline: name = "things" } = rack;
  try {
    const options = { name, now: Date.now, ...pages === undefined ? {} : { pages } };
    const { lines, detail } = await paged.extract(source, options);
    return { lines, beganAgain: detail.began_again };
  } catch (error) {
    if (error instanceof PermanentError) return { reason: error.message };
    throw error;
  }
}

/** Asserts that the result of a run is allowed. @throws AssertionError */
function judge({ name, ledger = EVERYTHING, fails }: RackCase, { lines, reason }: Verdict): void {
  if (fails === undefined) {
    assert.equal(reason, undefined, `${name}: should be complete`);
    for (const line of new Set([...ledger, ...lines!])) {
      const count = (list: readonly string[]) => list.filter((other) => other === line).length;
      const wanted = count(ledger) || 1; // a record may be deleted after it was received
      assert.equal(count(lines!), wanted, `${name}: green, though ${line} is missing or there twice`);
    }
    return;
  }
  assert.equal(lines, undefined, `${name}: green with ${lines?.length} records, though it should fail`);
  assert.ok(reason!.includes(fails), `${name}: ${reason}`);
  assert.match(reason!, /^Cannot .*\. \S|^Cannot .*name it in source\.origins/, `${name}: what to do next`);
  assert.doesNotMatch(reason!, /secret@/, `${name}: nothing of an answer is quoted`);
}

/**
 * Runs `rack` uninterrupted; then stopped after each page and resumed; then killed, at each requested page
 * that `killAt` selects, and resumed.
 *
 * @throws AssertionError
 */
export async function perform(
  rack: RackCase,
  killAt: (requested: number) => readonly number[],
): Promise<Verdict> {
  await using paged = await startPaged(rack.serve());
  const verdict = await verdictOf(paged, rack);
  judge(rack, verdict);
  const uninterrupted = paged.requested.length;
  const pages = Math.min(uninterrupted, rack.kills ?? uninterrupted);

  /** Returns whether the run was interrupted before its end. */
  const disturbed = async (
    end: (paged: PagedSource) => Promise<boolean>,
    { when, kept, again }: { when: string; kept: number; again: number },
  ) => {
    const source = rack.serve();
    await using paged = await startPaged(source);
    if (!await end(paged)) return false;
    source.meanwhile?.();
    const before = paged.requested.length;
    const resumed = await verdictOf(paged, rack);
    const wasWhole = paged.requested.length === before; // only its file wasn't renamed yet
    const ledger = wasWhole ? rack.ledger : rack.laterLedger ?? rack.ledger;
    const isOther = rack.resumedFails !== undefined && resumed.reason?.includes(rack.resumedFails);
    judge({ ...rack, ledger, ...isOther ? { fails: rack.resumedFails! } : {} }, resumed);
    const where = `${rack.name}, ${when}`;
    if (!wasWhole && rack.beganAgain !== undefined && kept > 0) {
      assert.ok(String(resumed.beganAgain).includes(rack.beganAgain), `${where}: ${resumed.beganAgain}`);
      return true;
    }
    assert.equal(resumed.beganAgain, undefined, where);
    if (!wasWhole && rack.laterLedger !== undefined) return true;
    if (rack.fails !== undefined) return true;
    const most = uninterrupted + again + (rack.tries ?? 0);
    assert.ok(
      paged.requested.length <= most,
      `${where}: requested ${paged.requested.length} pages, ${uninterrupted} when uninterrupted`,
    );
    if (rack.isHonest ?? true) assert.deepEqual(resumed.lines, verdict.lines, `${where}: other bytes`);
    return true;
  };
  for (let page = 1; page <= pages; page++) {
    const stop = (paged: PagedSource) =>
      verdictOf(paged, rack, page).then(() => false, (error) => {
        if (error instanceof Stopped) return true;
        throw error;
      });
    if (!await disturbed(stop, { when: `stopped after page ${page}`, kept: page, again: 0 })) break; // the run has no more pages
  }
  for (const page of killAt(pages)) {
    const kill = (paged: PagedSource) => killedAt(paged, rack, page);
    const when = `killed as it asks for page ${page}`;
    assert.ok(await disturbed(kill, { when, kept: page - 1, again: 1 }), `${rack.name}: no page ${page}`);
  }
  return verdict;
}

const HEAD = ["| source | as in | verdict | reason |", "| --- | --- | --- | --- |"];
const row = (...cells: string[]) => `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;

/** Returns the table of the cases, in Markdown. */
export function table(): string {
  const rows = RACK.map(({ name, seen, fails }) =>
    row(name, seen, fails === undefined ? "COMPLETED" : "FAILED", fails ?? "")
  );
  return [...HEAD, ...rows].join("\n");
}

/** Runs all cases; yields the table of their results line by line. */
export async function* rackRows(): AsyncGenerator<{ text: string; isAllowed: boolean }> {
  for (const text of HEAD) yield { text, isAllowed: true };
  for (const rack of RACK) {
    try {
      const each = (requested: number) => Array.from({ length: requested }, (_, i) => i + 1);
      const { lines, reason } = await perform(rack, each);
      const verdict = lines === undefined ? "FAILED" : `COMPLETED, ${lines.length} records`;
      yield { text: row(rack.name, rack.seen, verdict, reason ?? ""), isAllowed: true };
    } catch (error) {
      yield { text: row(rack.name, rack.seen, "BROKEN", messageOf(error)), isAllowed: false };
    }
  }
}
