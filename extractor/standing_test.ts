import assert from "node:assert/strict";
import fc from "fast-check";
import { newRunId } from "../shared/contracts/ids.ts";
import { OUTCOMES_EVERY_MS, type SinceRange } from "../shared/contracts/messages.ts";
import { after, cursorOf, heldIn, rewound, type Standing } from "./standing.ts";

const NEW: Standing = { rewinds: 0, held_at: 0 };
const HOUR = 3_600_000;

Deno.test("a held run blocks others until it is decided on, whatever old messages arrive late or repeated", () => {
  const [run, other] = [newRunId(), newRunId()];
  const say = (standing: Standing, outcome: "held" | "released" | "rejected" | "loaded", run_id = run) =>
    after(standing, { run_id, pipeline: "things", outcome }, HOUR);
  const held = say(NEW, "held");
  assert.equal(heldIn(held, HOUR), run);
  assert.equal(heldIn(say(held, "released", other), HOUR), run, "another run's decision frees nobody");
  for (const outcome of ["released", "rejected"] as const) {
    const free = say(held, outcome);
    assert.equal(heldIn(free, HOUR), undefined);
    assert.equal(heldIn(say(free, "held"), HOUR), undefined, "that it is held is old news");
    assert.equal(
      heldIn(say(say(NEW, outcome), "held"), HOUR),
      undefined,
      "also if the decision arrived first",
    );
    assert.equal(heldIn(say(free, "held", other), HOUR), other);
  }
  assert.equal(heldIn(held, 5 * HOUR), undefined, "a hold that the saver no longer reports has ended");
});

Deno.test("a hold that only another program reports blocks others for 20 minutes; one that the saver repeats blocks them until it is decided", () => {
  const [run, MINUTE] = [newRunId(), 60_000];
  const held = (standing: Standing, now: number) =>
    after(standing, { run_id: run, pipeline: "things", outcome: "held" }, now);
  const once = held(NEW, HOUR);
  assert.equal(heldIn(once, HOUR + 10 * MINUTE), run);
  assert.equal(heldIn(once, HOUR + 20 * MINUTE), undefined);
  let repeated = once;
  for (let now = HOUR; now < 9 * HOUR; now += OUTCOMES_EVERY_MS) {
    assert.equal(heldIn(repeated, now + OUTCOMES_EVERY_MS), run);
    repeated = held(repeated, now + OUTCOMES_EVERY_MS);
  }
});

Deno.test("values of another field or another source neither move a cursor nor are requested from", () => {
  const range = (of: string, to: number): SinceRange => ({ from: 0, to, of, rewinds: 0 });
  const load = (standing: Standing, since: SinceRange) =>
    after(standing, { run_id: newRunId(), pipeline: "things", outcome: "loaded", since }, 0);
  const one = load(NEW, range("at of one", 9));
  assert.equal(cursorOf(one, "at of one"), 9);
  assert.equal(cursorOf(one, "at of two"), undefined);
  assert.equal(cursorOf(load(one, range("id of one", 5)), "id of one"), 5);
});

/** A person rewinds, a run starts, or an unfinished run is loaded or abandoned. */
const step = fc.oneof(
  fc.record({ do: fc.constant("rewind" as const), to: fc.nat(50) }),
  fc.record({ do: fc.constant("begin" as const), came: fc.nat(5) }),
  fc.record({ do: fc.constantFrom("load" as const, "give up" as const), which: fc.nat(5) }),
);

Deno.test("nothing between the start of a run's range and the cursor is missing, in any order of loads, abandoned runs and rewinds", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    let [standing, source] = [NEW, 0];
    const loaded = new Set<number>();
    let underWay: { from: number; to: number; rewinds: number }[] = [];
    for (const one of steps) {
      const cursor = cursorOf(standing, "n") as number | undefined ?? 0;
      if (one.do === "rewind") {
        standing = rewound(standing, "n", one.to);
        for (let n = one.to + 1; n <= source; n++) loaded.delete(n); // the next run has to return them again
      } else if (one.do === "begin") {
        source += one.came;
        underWay.push({ from: cursor, to: source, rewinds: standing.rewinds });
      } else {
        const run = underWay[one.which];
        if (run === undefined) continue;
        underWay = underWay.filter((other) => other !== run);
        if (one.do === "give up") continue;
        if (run.rewinds === standing.rewinds) { for (let n = run.from + 1; n <= run.to; n++) loaded.add(n); }
        const since = {
          from: run.from,
          ...run.to > run.from ? { to: run.to } : {},
          of: "n",
          rewinds: run.rewinds,
        };
        standing = after(standing, { run_id: newRunId(), pipeline: "things", outcome: "loaded", since }, 0);
      }
      const now = cursorOf(standing, "n") as number | undefined ?? 0;
      const rewoundTo = steps.slice(0, steps.indexOf(one) + 1).findLast((s) => s.do === "rewind");
      const least = rewoundTo?.do === "rewind" ? rewoundTo.to : 0;
      for (let n = least + 1; n <= Math.min(now, source); n++) {
        assert.ok(loaded.has(n), `${n} is missing before ${now}`);
      }
    }
  }));
});
