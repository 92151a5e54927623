import assert from "node:assert/strict";
import { csvOf } from "./web/csv.ts";

Deno.test("CSV quotes what needs quotes and contains no formula that a spreadsheet would run", () => {
  const rows = [{ a: 1, b: 'say "hi", you', c: null }, { a: -2, b: "=1+1", c: "two\nlines" }];
  assert.equal(csvOf(["a", "b", "c"], rows), 'a,b,c\r\n1,"say ""hi"", you",\r\n-2,\'=1+1,"two\nlines"\r\n');
});
