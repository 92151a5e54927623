import assert from "node:assert/strict";
import fc from "fast-check";
import { tolerance } from "../ending.ts";
import { styleOf } from "./mod.ts";
import type { AnyPaging } from "./mod.ts";
import type { Announced, Answered, Position } from "./style.ts";

const SIZE = 5;

const STYLES: Record<string, AnyPaging> = {
  "offset": { by: "offset", offset: "skip", limit: "limit", size: SIZE, total: "total" },
  "page with a total": { by: "page", page: "page", total: "total" },
  "page with a number of pages and a total": { by: "page", page: "page", pages: "pages", total: "total" },
};

/**
 * Reads `count` records while some are deleted before each response. `deleted` lists relative places, 0 to 1,
 * for each response.
 */
function walk(paging: AnyPaging, count: number, deleted: readonly (readonly number[])[]) {
  const style = styleOf(paging);
  const left = Array.from({ length: count }, (_, id) => id);
  const came = new Set<number>();
  let position: Position | undefined = style.begin;
  let seen: Announced = {};
  let answers = 0;
  for (; position !== undefined; answers++) {
    assert.ok(answers < 1_000, "it ends");
    for (const place of deleted[answers] ?? []) {
      if (left.length > 0) left.splice(Math.floor(place * left.length), 1);
    }
    const skip = Number(position.skip ?? (Number(position.page) - 1) * SIZE);
    const page = left.slice(skip, skip + SIZE);
    const announced: Record<string, number> = { total: left.length, pages: Math.ceil(left.length / SIZE) };
    const most = Math.max(seen.most ?? 0, left.length);
    if (most - left.length > tolerance(most)) return undefined; // the run fails with a reason
    const answered: Answered = {
      length: page.length,
      repeated: 0,
      noun: "things",
      blank: false,
      address: new URL("http://source/things"),
      value: (place) => announced[place as string],
      last: () => undefined,
    };
    for (const id of page) came.add(id);
    const { next, total, pages } = style.after(position, answered, seen);
    seen = { total, pages, most };
    position = next;
  }
  return { came, left, answers };
}

Deno.test("whatever is deleted while offsets or page numbers are read, no remaining record is lost", () => {
  const places = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 3 });
  const deletions = fc.array(places, { maxLength: 40 });
  for (const [name, paging] of Object.entries(STYLES)) {
    const property = fc.property(fc.integer({ min: 0, max: 120 }), deletions, (count, deleted) => {
      const walked = walk(paging, count, deleted);
      if (walked === undefined) return;
      for (const id of walked.left) assert.ok(walked.came.has(id), `${name}: ${id} is lost`);
    });
    fc.assert(property, { numRuns: 2_000 });
  }
});

Deno.test("each page of an unchanged source is requested once", () => {
  for (const [name, paging] of Object.entries(STYLES)) {
    assert.equal(walk(paging, 52, [])?.answers, 11, name);
  }
});
