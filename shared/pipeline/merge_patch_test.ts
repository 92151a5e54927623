import assert from "node:assert/strict";
import { correctedRecord, mergePatch } from "./merge_patch.ts";

/** The examples of RFC 7396, appendix A: original, patch, result. */
const EXAMPLES = [
  [`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`],
  [`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`],
  [`{"a":"b"}`, `{"a":null}`, `{}`],
  [`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`],
  [`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`],
  [`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`],
  [`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`],
  [`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`],
  [`["a","b"]`, `["c","d"]`, `["c","d"]`],
  [`{"a":"b"}`, `["c"]`, `["c"]`],
  [`{"a":"foo"}`, `null`, `null`],
  [`{"a":"foo"}`, `"bar"`, `"bar"`],
  [`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`],
  [`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`],
  [`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`],
] as const;

Deno.test("merge patches follow RFC 7396, and change neither argument", () => {
  for (const [original, patch, result] of EXAMPLES) {
    const [before, change] = [JSON.parse(original), JSON.parse(patch)];
    assert.equal(JSON.stringify(mergePatch(before, change)), result, `${original} + ${patch}`);
    assert.deepEqual([JSON.stringify(before), JSON.stringify(change)], [original, patch]);
  }
});

Deno.test("a member named __proto__ is a member like any other", () => {
  const merged = mergePatch({}, JSON.parse('{"__proto__":{"admin":true}}')) as { admin?: boolean };
  assert.equal(merged.admin, undefined);
  assert.equal(JSON.stringify(merged), '{"__proto__":{"admin":true}}');
});

Deno.test("a corrected record loses its error_reason, keeps its order and the format of its unchanged numbers", () => {
  const letter =
    '{"id":9007199254740993,"height":1.0,"weight":1e2,"age":70,"company":{"lat":-0.50},"error_reason":"age"}';
  assert.deepEqual(
    correctedRecord(letter, { line: 1, merge: { age: 35, company: { department: "Sales" } } }),
    {
      line:
        '{"id":9007199254740993,"height":1.0,"weight":1e2,"age":35,"company":{"lat":-0.50,"department":"Sales"}}',
    },
  );
  assert.deepEqual(correctedRecord(letter, { line: 1 }), {
    line: '{"id":9007199254740993,"height":1.0,"weight":1e2,"age":70,"company":{"lat":-0.50}}',
  });
});

Deno.test("a new text replaces the whole line, as one line", () => {
  const letter = '{"raw_line":"[1,2]","error_reason":"Not an object"}';
  assert.deepEqual(correctedRecord(letter, { line: 1, text: '{\r\n  "id": 1.0\n}' }), {
    line: '{   "id": 1.0 }',
  });
  assert.deepEqual(correctedRecord(letter, { line: 1, text: "{still wrong" }), { line: "{still wrong" });
  assert.deepEqual(correctedRecord(letter, { line: 1 }), { line: "[1,2]" });
});

Deno.test("a correction that can't be applied reports the reason", () => {
  const raw = '{"raw_line":"oops","error_reason":"Invalid JSON"}';
  const record = '{"id":1,"ssn":"900","error_reason":"age"}';
  const cases = [
    [raw, { merge: { id: 1 } }, /nothing to merge into/],
    [record, { text: " \n" }, /new text is empty/],
    [record, { merge: { ssn: "***" } }, /placeholder "\*\*\*"/],
    [record, { merge: { bank: { cards: [{ iban: "***" }] } } }, /placeholder/],
    [record, { text: '{"id":1,"ssn":"***"}' }, /placeholder/],
    ["{cut", {}, /no JSON, its file was changed/],
    ["[1]", {}, /no JSON object, its file was changed/],
  ] as const;
  for (const [letter, patch, expected] of cases) {
    const corrected = correctedRecord(letter, { line: 1, ...patch } as Parameters<typeof correctedRecord>[1]);
    assert.match("problem" in corrected ? corrected.problem : `line: ${corrected.line}`, expected);
  }
  const talking = correctedRecord(record, { line: 1, merge: { note: "rated *** by all" } });
  assert.ok("line" in talking);
});
