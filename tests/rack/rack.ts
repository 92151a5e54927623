/**
 * Runs the cases: uninterrupted, and killed at each page. A completed run that lacks records is never right.
 *
 * @module
 */
import assert from "node:assert/strict";
import { messageOf, PermanentError } from "../../shared/errors/errors.ts";
import { type PagedSource, startPaged, Stopped } from "../support/paged_source.ts";
import type { RackCase } from "./case.ts";
import { COUNTED } from "./counted.ts";
import { EVERYTHING, LINKED } from "./linked.ts";

/** All cases, in order of the table. */
export const RACK: readonly RackCase[] = [...COUNTED, ...LINKED];

/** At how many pages at most a run is stopped; most sources have fewer. */
const KILLS = 4;

interface Verdict {
  readonly lines?: readonly string[];
  readonly reason?: string;
}

async function verdictOf(paged: PagedSource, { source }: RackCase, pages?: number): Promise<Verdict> {
  try {
    return { lines: (await paged.extract(source, pages === undefined ? {} : { pages })).lines };
  } catch (error) {
    if (error instanceof PermanentError) return { reason: error.message };
    throw error;
  }
}

/** @throws AssertionError where the verdict is none that is allowed. */
function judge({ name, ledger = EVERYTHING, fails }: RackCase, { lines, reason }: Verdict): void {
  if (fails === undefined) {
    assert.equal(reason, undefined, `${name}: should be complete`);
    for (const line of ledger) {
      const count = (list: readonly string[]) => list.filter((other) => other === line).length;
      assert.equal(count(lines!), count(ledger), `${name}: green, though ${line} is missing or there twice`);
    }
    return;
  }
  assert.equal(lines, undefined, `${name}: green with ${lines?.length} records, though it should fail`);
  assert.ok(reason!.includes(fails), `${name}: ${reason}`);
  assert.match(reason!, /^Cannot .*\. \S|^Cannot .*name it in source\.origins/, `${name}: what to do next`);
  assert.doesNotMatch(reason!, /secret@/, `${name}: nothing of an answer is quoted`);
}

/** Runs `rack` uninterrupted, and killed at each page and resumed. @throws AssertionError */
export async function perform(rack: RackCase): Promise<Verdict> {
  await using paged = await startPaged(rack.serve());
  const verdict = await verdictOf(paged, rack);
  judge(rack, verdict);
  const atPeace = paged.asked.length;
  for (let pages = 1; pages <= (rack.kills ?? KILLS); pages++) {
    await using disturbed = await startPaged(rack.serve());
    const stopped = await verdictOf(disturbed, rack, pages).then(() => false, (error) => {
      if (error instanceof Stopped) return true;
      throw error;
    });
    if (!stopped) break; // it has no more pages
    const resumed = await verdictOf(disturbed, rack);
    const isOther = rack.resumedFails !== undefined && resumed.reason?.includes(rack.resumedFails);
    judge(isOther ? { ...rack, fails: rack.resumedFails! } : rack, resumed);
    if (rack.fails === undefined) {
      assert.ok(
        disturbed.asked.length <= atPeace + 1 + (rack.tries ?? 0),
        `${rack.name}, killed at page ${pages}: asked for ${disturbed.asked.length} pages, ${atPeace} at peace`,
      );
      if (rack.isHonest ?? true) assert.deepEqual(resumed.lines, verdict.lines, `${rack.name}: other bytes`);
    }
  }
  return verdict;
}

const HEAD = ["| source | as in | verdict | reason |", "| --- | --- | --- | --- |"];
const row = (...cells: string[]) => `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;

/** The table of the cases as it has to be, in Markdown. */
export function table(): string {
  const rows = RACK.map(({ name, seen, fails }) =>
    row(name, seen, fails === undefined ? "COMPLETED" : "FAILED", fails ?? "")
  );
  return [...HEAD, ...rows].join("\n");
}

/** Runs all cases, and yields the table of what they came to line by line. */
export async function* rackRows(): AsyncGenerator<{ text: string; isAllowed: boolean }> {
  for (const text of HEAD) yield { text, isAllowed: true };
  for (const rack of RACK) {
    try {
      const { lines, reason } = await perform(rack);
      const verdict = lines === undefined ? "FAILED" : `COMPLETED, ${lines.length} records`;
      yield { text: row(rack.name, rack.seen, verdict, reason ?? ""), isAllowed: true };
    } catch (error) {
      yield { text: row(rack.name, rack.seen, "BROKEN", messageOf(error)), isAllowed: false };
    }
  }
}
