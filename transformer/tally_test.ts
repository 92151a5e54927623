import assert from "node:assert/strict";
import { Tally } from "./tally.ts";

Deno.test("names are sorted by count, greatest first, equal ones in order of appearance", () => {
  const tally = new Tally();
  for (const name of ["b", "a", "c", "c", "__proto__", "a", "c"]) tally.add(name);
  assert.deepEqual(tally.sorted(), [["c", 3], ["a", 2], ["b", 1], ["__proto__", 1]]);
});

Deno.test("names beyond the limit are counted together, and come last", () => {
  const tally = new Tally(2);
  for (const name of ["a", "b", "c", "d", "c", "b"]) tally.add(name);
  assert.deepEqual(tally.sorted(), [["b", 2], ["a", 1], ["(other)", 3]]);
});
