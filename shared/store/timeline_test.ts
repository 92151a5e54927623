import assert from "node:assert/strict";
import type { Phase, RunEvent } from "../contracts/messages.ts";
import { lookupGapsOf, pageOfLine, phasesOf, reasonsOf } from "./timeline.ts";

const at = (second: number) => new Date(Date.UTC(2026, 10, 24, 3, 0, second)).toISOString();
const base = (second: number, phase: Phase) => ({
  id: `${second}`,
  published_at: at(second),
  run_id: "0190e000-0000-7000-8000-000000000001",
  actor: "extractor",
  phase,
});
const started = (second: number, phase: Phase, attempt = 1): RunEvent => ({
  ...base(second, phase),
  type: "phase_started",
  attempt,
});
const completed = (second: number, phase: Phase, detail: Record<string, unknown> = {}): RunEvent => ({
  ...base(second, phase),
  type: "phase_completed",
  detail: JSON.parse(JSON.stringify(detail)),
});

Deno.test("a phase lasts from its first start to its end, including retries, and has a speed", () => {
  const events = [
    started(0, "EXTRACTING"),
    started(3, "EXTRACTING", 2),
    completed(4, "EXTRACTING", { records: 208 }),
    started(5, "TRANSFORMING"),
  ];
  assert.deepEqual(phasesOf(events), [
    {
      phase: "EXTRACTING",
      startedAt: at(0),
      finishedAt: at(4),
      durationMs: 4000,
      attempts: 2,
      records: 208,
      recordsPerSecond: 52,
    },
    {
      phase: "TRANSFORMING",
      startedAt: at(5),
      finishedAt: null,
      durationMs: null,
      attempts: 1,
      records: null,
      recordsPerSecond: null,
    },
  ]);
});

Deno.test("a failed phase has ended, and one started again since is running", () => {
  const failed: RunEvent = { ...base(2, "LOADING"), type: "run_failed", reason: "x", retryable: true };
  assert.equal(phasesOf([started(0, "LOADING"), failed])[0]!.finishedAt, at(2));
  assert.equal(phasesOf([started(0, "LOADING"), failed, started(9, "LOADING", 2)])[0]!.finishedAt, null);
});

Deno.test("reasons and lookup gaps are those of the transformer's last report", () => {
  const events = [
    completed(1, "TRANSFORMING", { reasons: [{ reason: "age: missing", count: 1 }] }),
    completed(2, "TRANSFORMING", {
      reasons: [{ reason: "age: missing", count: 7 }],
      lookup_gaps: [{ department: "Magic", count: 2 }],
    }),
    completed(3, "LOADING", { reasons: [] }),
  ];
  assert.deepEqual(reasonsOf(events), [{ reason: "age: missing", count: 7 }]);
  assert.deepEqual(lookupGapsOf(events), [{ department: "Magic", count: 2 }]);
});

Deno.test("without a valid report of the transformer there are no reasons", () => {
  assert.deepEqual(reasonsOf([]), []);
  assert.deepEqual(lookupGapsOf([completed(1, "TRANSFORMING", { lookup_gaps: 5 })]), []);
});

Deno.test("the page of a raw file's line, and its request, derive from the extractor's report", () => {
  const pageOf = (detail: Record<string, unknown>, line: number) =>
    pageOfLine([completed(1, "EXTRACTING", detail)], line);
  const sizes = { page_sizes: [[3, 100], [1, 0], [1, 7]] };
  const offset = { ...sizes, paging: "offset", first_page: "skip=0" };
  assert.deepEqual(pageOf(offset, 1), { page: 1, request: "skip=0" });
  assert.deepEqual(pageOf(offset, 100), { page: 1, request: "skip=0" });
  assert.deepEqual(pageOf(offset, 101), { page: 2, request: "skip=100" });
  assert.deepEqual(pageOf(offset, 300), { page: 3, request: "skip=200" });
  assert.deepEqual(pageOf(offset, 301), { page: 5, request: "skip=300" });
  assert.deepEqual(pageOf(offset, 307), { page: 5, request: "skip=300" });
  assert.equal(pageOf(offset, 308), undefined);
  const page = { ...sizes, paging: "page", first_page: "p=1" };
  assert.deepEqual(pageOf(page, 301), { page: 5, request: "p=5" });
  assert.deepEqual(pageOf(sizes, 101), { page: 2, request: null });
  assert.equal(pageOf({}, 1), undefined);
  assert.equal(pageOf({ page_sizes: "many" }, 1), undefined);
});

Deno.test("the time for which a run was held doesn't count as part of its load", () => {
  const held: RunEvent = { ...base(6, "LOADING"), type: "run_held", reason: "too few", detail: {} };
  assert.deepEqual(phasesOf([started(5, "LOADING"), held]), []);
  const [load] = phasesOf([started(5, "LOADING"), held, started(50, "LOADING"), completed(52, "LOADING")]);
  assert.deepEqual([load?.startedAt, load?.durationMs, load?.attempts], [at(50), 2_000, 1]);
});
