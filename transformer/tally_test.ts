import assert from "node:assert/strict";
import { Tally } from "./tally.ts";

Deno.test("names are told with the greatest count first, equal ones as they came", () => {
  const tally = new Tally();
  for (const name of ["b", "a", "c", "c", "__proto__", "a", "c"]) tally.add(name);
  assert.deepEqual(tally.sorted(), [["c", 3], ["a", 2], ["b", 1], ["__proto__", 1]]);
});

Deno.test("more names than can be told are counted together, and come last", () => {
  const tally = new Tally(2);
  for (const name of ["a", "b", "c", "d", "c", "b"]) tally.add(name);
  assert.deepEqual(tally.sorted(), [["b", 2], ["a", 1], ["(other)", 3]]);
});
