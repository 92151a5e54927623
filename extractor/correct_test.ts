import assert from "node:assert/strict";
import { newRunId } from "../shared/contracts/ids.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import { startCorrections } from "../tests/support/correction.ts";

Deno.test("a correction run writes the corrected records in the order of the dead letters, and reports which they are", async () => {
  await using pipeline = await startCorrections();
  const { sha256 } = await pipeline.files.facts(pipeline.dlq_file);
  const request = pipeline.request([
    { line: 4, merge: { age: 18 } },
    { line: 1, merge: { age: null, firstName: "Ann" } },
    { line: 2, text: '{"id":\n2}' },
  ], sha256);
  const { message, detail } = await pipeline.handle(request);
  assert.equal(await pipeline.raw(message), '{"id":1.0,"firstName":"Ann"}\n{"id": 2}\n{"id":4,"age":18}\n');
  const { raw_file, raw_sha256, ...rest } = message;
  assert.equal(raw_sha256, (await pipeline.files.facts(raw_file)).sha256);
  assert.deepEqual(rest, {
    run_id: request.run_id,
    record_count: 3,
    pipeline: "users",
    source: `dlq:${pipeline.of}`,
    correction_of: pipeline.of,
    corrects: [1, 2, 4],
  });
  assert.deepEqual([detail.records, detail.correction_of], [3, pipeline.of]);
});

Deno.test("a repeated correction gives the same file and message, wherever the process died", async () => {
  await using pipeline = await startCorrections();
  const request = pipeline.request([{ line: 3, merge: { email: "a@example.org" } }]);
  const first = await pipeline.handle(request);
  assert.deepEqual((await pipeline.handle(request)).outputs, first.outputs);
  const state = `${pipeline.data}/state/extractor_state.json`;
  const kept = JSON.parse(await Deno.readTextFile(state));
  await Deno.writeTextFile(state, JSON.stringify({ ...kept, completed: [] })); // the state before the file was renamed
  assert.deepEqual((await pipeline.handle(request)).outputs, first.outputs);
  assert.deepEqual(await pipeline.rawFiles(), ["records_20261124_040000.jsonl"]);
});

Deno.test("a correction that can't be carried out reports the reason, and leaves no file", async () => {
  await using pipeline = await startCorrections();
  const other = "0".repeat(64);
  const cases = [
    [
      pipeline.request([{ line: 9, merge: { age: 18 } }]),
      /^Cannot correct line 9 of .*: the file has 4 lines/,
    ],
    [pipeline.request([{ line: 1, merge: { ssn: "***" } }]), /^Cannot correct line 1 of .*placeholder/],
    [pipeline.request([{ line: 2, merge: { id: 2 } }]), /^Cannot correct line 2 of .*nothing to merge into/],
    [pipeline.request([{ line: 1, merge: { age: 18 } }], other), /its SHA-256 is .* was announced/],
  ] as const;
  for (const [request, expected] of cases) {
    await assert.rejects(pipeline.handle(request), (error: unknown) => {
      assert.ok(error instanceof PermanentError);
      assert.match(error.message, expected);
      return true;
    });
    assert.deepEqual(await pipeline.rawFiles(), []);
  }
});

Deno.test("a correction doesn't touch an unfinished run", async () => {
  await using pipeline = await startCorrections();
  const state = `${pipeline.data}/state/extractor_state.json`;
  const current = {
    run_id: newRunId(),
    source: "http://127.0.0.1:9/users",
    raw_file: `${pipeline.data}/raw_users/records_20261124_030007.jsonl`,
    last_skip: 100,
    bytes: 5,
    records: 1,
    duplicates: 0,
    pages: 1,
    first_total: 208,
    total: 208,
    started_at: "2026-11-24T03:00:07.000Z",
  };
  await Deno.mkdir(`${pipeline.data}/state`);
  await Deno.writeTextFile(state, JSON.stringify({ version: 1, current, correcting: null, completed: [] }));
  const request = pipeline.request([{ line: 1 }]);
  assert.equal(await pipeline.raw((await pipeline.handle(request)).message), '{"id":1.0,"age":70}\n');
  const after = JSON.parse(await Deno.readTextFile(state));
  assert.deepEqual(after.current, current);
  assert.equal(after.completed.at(-1).run_id, request.run_id);
});
