import assert from "node:assert/strict";
import { type Entry, inputType, shown, typed } from "./web/values.ts";

const entry = (input: Entry["input"], more: Partial<Entry> = {}): Entry => ({
  input,
  choices: [],
  nullable: false,
  wanted: "",
  ...more,
});

Deno.test("what is typed into a field is a value of the kind that is wanted, else the text", () => {
  const cases: [Entry, string, unknown][] = [
    [entry("number"), "7", 7],
    [entry("number"), "seven", "seven"],
    [entry("number"), "007", "007"],
    [entry("date"), "2026-01-31", "2026-01-31"],
    [entry("date"), "null", "null"],
    [entry("date", { nullable: true }), "null", null],
    [entry("json"), '["a", "b"]', ["a", "b"]],
    [entry("json"), "a, b", "a, b"],
    [entry("choice", { choices: [true, false] }), "true", true],
    [entry("choice", { choices: ["S", "M"] }), "M", "M"],
    [entry("choice", { choices: ["S", "M"], nullable: true }), "null", null],
  ];
  for (const [entry, text, value] of cases) assert.deepEqual(typed(text, entry), value, text);
  assert.equal(JSON.stringify(typed("9007199254740993", entry("number"))), "9007199254740993");
});

Deno.test("what stands in a field can be seen, also where it is none of the kind that is wanted", () => {
  assert.deepEqual(
    ["2026-01-31", undefined, "yesterday", "2026-02-31", 5].map((value) => inputType(entry("date"), value)),
    ["date", "date", "text", "text", "text"],
  );
  assert.deepEqual([shown(["a"]), shown(null), shown("a")], ['["a"]', "null", "a"]);
});
