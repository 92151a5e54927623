import assert from "node:assert/strict";
import { spreadOf } from "./measure.ts";
import { holds, type Result, sentence, table } from "./table.ts";

const SLOW: Result = {
  what: "load <three> files",
  baseline: spreadOf([2, 2, 2]),
  ours: spreadOf([3, 3, 4]),
  figure: spreadOf([1.5, 1.5, 2]),
  unit: "x",
  target: { atMost: 1 },
};
const FAST: Result = {
  what: "transform",
  figure: spreadOf([70_000]),
  unit: "records/s",
  target: { atLeast: 60_000 },
};
const KNOWN: Result = { what: "bare queue", figure: spreadOf([0.6]), unit: "x" };

Deno.test("a target is judged by the median, in its own direction", () => {
  assert.equal(holds(SLOW), false);
  assert.equal(holds(FAST), true);
  assert.equal(holds(KNOWN), undefined);
});

Deno.test("the table shows both sides, the spread, the target and whether it is met", () => {
  const lines = table([SLOW, FAST, KNOWN]).split("\n").map((line) => line.replace(/ +/g, " "));
  assert.equal(lines.length, 5);
  assert.equal(
    lines[2],
    "| load <three> files | 2.00 s | 3.00 s | 1.50 x (1.50 to 2.00) | | <= 1.00 | MISSED |",
  );
  assert.equal(lines[3], "| transform | | | 70,000 records/s | | >= 60,000 | holds |");
  assert.equal(sentence(KNOWN), "bare queue  0.60 x");
});
