import assert from "node:assert/strict";
import fc from "fast-check";
import { limitsOf, reasonToHold } from "./gate.ts";

const counts = (valid_count: number, invalid_count = 0) => ({ valid_count, invalid_count });
const before = (valid_count: number) => ({ id: 12, valid_count });

Deno.test("a run that replaces all records is held if it shrinks below half, unless the definition says otherwise; others are not", () => {
  assert.deepEqual(limitsOf({ load: "snapshot" }, true), { invalid: undefined, shrink: 0.5 });
  assert.deepEqual(limitsOf({ load: "upsert" }, true), { invalid: undefined, shrink: undefined });
  assert.deepEqual(limitsOf({ load: undefined }, true), { invalid: undefined, shrink: undefined });
  assert.deepEqual(limitsOf({ load: "snapshot", hold: { shrink: "0%", invalid: "2.5%" } }, true), {
    invalid: 0.025,
    shrink: 0,
  });
});

Deno.test("a run of another extractor may be partial: only the definition's limits hold it", () => {
  assert.deepEqual(limitsOf({ load: "snapshot" }, false), { invalid: undefined, shrink: undefined });
  assert.deepEqual(limitsOf({ load: "snapshot", hold: { shrink: "20%" } }, false), {
    invalid: undefined,
    shrink: 0.2,
  });
});

Deno.test("a run is held beyond a limit, not at it, and the reason has the found and the allowed value", () => {
  const limits = { invalid: 0.05, shrink: 0.5 };
  assert.equal(reasonToHold(counts(95, 5), limits, before(190)), undefined);
  assert.equal(
    reasonToHold(counts(94, 6), limits, before(100)),
    "Held before its load: 6 of its 100 records are invalid (6 %), more than 5 %.",
  );
  assert.equal(
    reasonToHold(counts(103, 0), limits, before(208)),
    "Held before its load: it has 103 valid records, fewer than 50 % of the 208 of run 12.",
  );
  assert.match(reasonToHold(counts(0, 1), limits, before(208))!, /are invalid .*; it has 0 valid records/);
});

Deno.test("a first run has nothing to shrink from, and a run without records has no share of invalid ones", () => {
  assert.equal(reasonToHold(counts(0), { invalid: 0, shrink: 1 }, undefined), undefined);
  assert.equal(reasonToHold(counts(0), { invalid: 0, shrink: 1 }, before(0)), undefined);
});

Deno.test("for any numbers, a run is held if and only if one of them is beyond its limit", () => {
  const share = fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined });
  const count = fc.nat(1_000_000);
  fc.assert(fc.property(count, count, count, share, share, (valid, invalid, had, most, least) => {
    const isHeld =
      reasonToHold(counts(valid, invalid), { invalid: most, shrink: least }, before(had)) !== undefined;
    const isBad = most !== undefined && invalid / (valid + invalid) > most;
    assert.equal(isHeld, isBad || (least !== undefined && valid / had < least));
  }));
});

Deno.test("no run is held exactly at its limit, whatever the limit: 29 of 100 are 29 %", () => {
  for (const digits of [0, 1, 2]) {
    const all = 100 * 10 ** digits;
    for (let count = 0; count <= all; count++) {
      const percent = `${count / 10 ** digits}%` as const;
      const limits = limitsOf({ load: "upsert", hold: { invalid: percent, shrink: percent } }, true);
      assert.equal(
        reasonToHold(counts(all - count, count), { ...limits, shrink: undefined }, undefined),
        undefined,
      );
      assert.equal(reasonToHold(counts(count), { ...limits, invalid: undefined }, before(all)), undefined);
      if (count === all) continue;
      assert.ok(
        reasonToHold(counts(all - count - 1, count + 1), { ...limits, shrink: undefined }, undefined),
      );
      if (count > 0) {
        assert.ok(reasonToHold(counts(count - 1), { ...limits, invalid: undefined }, before(all)));
      }
    }
  }
});
