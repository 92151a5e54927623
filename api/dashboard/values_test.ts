import assert from "node:assert/strict";
import { type Entry, inputType, shown, typed } from "./web/values.ts";

const entry = (input: Entry["input"], more: Partial<Entry> = {}): Entry => ({
  input,
  choices: [],
  nullable: false,
  wanted: "",
  ...more,
});

Deno.test("typed text becomes a value of the expected kind if possible, otherwise it stays text", () => {
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

Deno.test("a field's value is visible even if it isn't of the expected kind", () => {
  assert.deepEqual(
    ["2026-01-31", undefined, "yesterday", "2026-02-31", 5].map((value) => inputType(entry("date"), value)),
    ["date", "date", "text", "text", "text"],
  );
  assert.deepEqual([shown(["a"]), shown(null), shown("a")], ['["a"]', "null", "a"]);
});
