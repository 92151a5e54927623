import assert from "node:assert/strict";
import fc from "fast-check";
import { type JsonObject, lineProblem } from "../shared/pipeline/problems.ts";
import { usersPlan } from "../tests/support/users.ts";
import { deadLetter, enrich, MAX_RAW_LINE } from "./splice.ts";

const PROBLEM = lineProblem("Invalid JSON", "a test");

function enriched(line: string): string {
  return enrich(line, JSON.parse(line), [["department_code", "MKT"]]);
}

for (
  const [what, line, wanted] of [
    ["an empty object", "{}", '{"department_code":"MKT"}'],
    ["an empty object with blanks", " { } ", ' { "department_code":"MKT"} '],
    ["blanks at the end", '{"a":1 } \t', '{"a":1 ,"department_code":"MKT"} \t'],
    ["an object as its last value", '{"a":{}}', '{"a":{},"department_code":"MKT"}'],
    [
      "numbers that JavaScript would write differently",
      '{"a":1.0,"b":9007199254740993,"c":1e2}',
      '{"a":1.0,"b":9007199254740993,"c":1e2,"department_code":"MKT"}',
    ],
    ["keys that are numbers", '{"2":1,"1":2}', '{"2":1,"1":2,"department_code":"MKT"}'],
    ["a key twice", '{"a":1,"a":2}', '{"a":1,"a":2,"department_code":"MKT"}'],
    ["a code of its own", '{"department_code":"OLD", "a":1.0}', '{ "a":1.0,"department_code":"MKT"}'],
    [
      "its own code, twice and in the middle",
      String.raw`{"a":"\"}","department_code":{"b":[",",{}]},"c":1,"department\u005fcode":2}`,
      String.raw`{"a":"\"}","c":1,"department_code":"MKT"}`,
    ],
    ["nothing but a code", '{"department_code":1}', '{"department_code":"MKT"}'],
    [
      "a code in a nested object",
      '{"a":{"department_code":1}}',
      '{"a":{"department_code":1},"department_code":"MKT"}',
    ],
    ["a prototype", '{"__proto__":{"a":1}}', '{"__proto__":{"a":1},"department_code":"MKT"}'],
  ] as const
) {
  Deno.test(`the code is added to a record with ${what}`, () => assert.equal(enriched(line), wanted));
}

/**
 * No backslash: after an object with a backslash in a key, V8 misreads other escaped keys
 * (nodejs/node#63785), in this test too.
 */
const character = fc.string({ minLength: 1, maxLength: 1 }).filter((character) => character !== "\\");
const key = fc.oneof(
  fc.string({ unit: character }),
  fc.constantFrom("department_code", "error_reason", "__proto__", '"', "}", "{,"),
);
const object = fc.dictionary(key, fc.jsonValue({ stringUnit: character }));
/** The JSON text of an object as another program might write it, with spaces between tokens and escaped keys. */
const spacedObject = fc.tuple(object, fc.constantFrom(undefined, 1, "\t"), fc.boolean()).map(
  ([value, indent, escape]) => {
    const json = JSON.stringify(value, null, indent).replace(/\n\s*/g, " ");
    return escape ? json.replaceAll("_", "\\u005f") : json;
  },
);

Deno.test("a record with a code parses to the record and the code, and its own text stays unchanged before it", () => {
  fc.assert(
    fc.property(spacedObject, fc.string(), (line, code) => {
      const record: JsonObject = JSON.parse(line);
      const text = enrich(line, record, [["department_code", code]]);
      const { department_code: _, ...others } = record;
      assert.deepEqual(JSON.parse(text), { ...others, department_code: code });
      assert.equal(
        Object.keys(JSON.parse(text)).filter((name) => !/^\d+$/.test(name)).at(-1),
        "department_code",
      );
      const end = line.lastIndexOf("}");
      if (!("department_code" in record)) assert.ok(text.startsWith(line.slice(0, end)));
      assert.ok(text.endsWith(line.slice(end)) || "department_code" in record);
      assert.equal(text.includes("\n"), false);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("a dead letter parses to the record and the reason; correcting and judging it again gives the same", () => {
  fc.assert(
    fc.property(spacedObject, (line) => {
      const verdict = usersPlan.judgeLine(line);
      assert.ok(!verdict.valid);
      const letter = deadLetter(line, verdict.record, verdict.problems);
      const { error_reason, ...others } = JSON.parse(letter);
      const { error_reason: _, ...wanted } = JSON.parse(line);
      assert.deepEqual(others, wanted);
      assert.equal(typeof error_reason, "string");
      assert.equal(deadLetter(letter, JSON.parse(letter), verdict.problems), letter);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("the dead letter of a line that isn't an object keeps the line, whatever it contains", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (line) => {
      const letter = deadLetter(line, undefined, [PROBLEM]);
      assert.deepEqual(JSON.parse(letter), { raw_line: line, error_reason: "Invalid JSON: a test" });
      assert.equal(letter.includes("\n"), false);
    }),
  );
});

Deno.test("a long line that isn't an object is truncated in its dead letter, with a note", () => {
  const line = `${"x".repeat(MAX_RAW_LINE - 1)}\u{1f600}${"y".repeat(1_000)}`;
  const { raw_line, error_reason } = JSON.parse(deadLetter(line, undefined, [PROBLEM]));
  assert.equal(raw_line, `${"x".repeat(MAX_RAW_LINE - 1)}\ufffd`);
  assert.equal(error_reason, "Invalid JSON: a test; raw_line holds the first 1000000 characters");
});

Deno.test("an existing code is removed from a record of any depth and length", () => {
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  const long = JSON.stringify('\\"},{'.repeat(200_000));
  const line = `{"department_code":${deep},"deep":${deep},"long":${long}}`;
  assert.equal(enriched(line), `{"deep":${deep},"long":${long},"department_code":"MKT"}`);
});
