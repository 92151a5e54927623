import assert from "node:assert/strict";
import { type Contender, inTurn, linearity, percentile, spreadOf } from "./measure.ts";

Deno.test("the median of an even number of measurements is the mean of the middle two", () => {
  assert.deepEqual(spreadOf([4, 1, 3, 2]), { median: 2.5, least: 1, greatest: 4, turns: 4 });
  assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, least: 1, greatest: 3, turns: 3 });
});

Deno.test("a percentile is one of the measurements, and the hundredth the greatest", () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.equal(percentile(values, 0.5), 50);
  assert.equal(percentile(values, 0.99), 99);
  assert.equal(percentile(values, 1), 100);
  assert.equal(percentile([7], 0.99), 7);
});

Deno.test("points on a line have an R² of 1, others less", () => {
  assert.equal(linearity([[1, 3], [10, 21], [100, 201]]), 1);
  assert.ok(linearity([[1, 1], [10, 100], [100, 10_000]]) < 0.999);
});

Deno.test("ratios are taken in turns, and the order alternates", async () => {
  const order: string[] = [];
  const contender = (label: string, seconds: number[]): Contender => (turn) => {
    order.push(`${label}${turn}`);
    return Promise.resolve({ seconds: seconds[turn]!, cpu: 1 });
  };
  // The machine is twice as slow in the second turn; the ratio must not change.
  const { figure, cpuRatio, baseline } = await inTurn(
    3,
    contender("a", [1, 2, 1]),
    contender("b", [3, 6, 3]),
  );
  assert.deepEqual(order, ["a0", "b0", "b1", "a1", "a2", "b2"]);
  assert.deepEqual(figure, { median: 3, least: 3, greatest: 3, turns: 3 });
  assert.equal(cpuRatio.median, 1);
  assert.equal(baseline.greatest, 2);
});
