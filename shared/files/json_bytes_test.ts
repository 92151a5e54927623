import assert from "node:assert/strict";
import fc from "fast-check";
import { JsonBytes } from "./json_bytes.ts";

function isTaken(text: string): boolean {
  const json = new JsonBytes(new TextEncoder().encode(text));
  try {
    json.whole((at) => json.end(at));
    return true;
  } catch (error) {
    assert.ok(error instanceof SyntaxError);
    return false;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

// The kinds of text in https://github.com/nst/JSONTestSuite.
const WHOLE = String
  .raw`0 -0 1.5 -0.10E+3 1e2 1E-2 true false null "" "\u00e9\ud800\"\\\/\b\f\n\r\t" [] {} [[],{}] {"":1} {"a":1,"a":2}`
  .split(" ");
const BROKEN = String
  .raw`01 -01 - + .5 1. 1.e2 1e 1e+ 0x1 NaN Infinity -Infinity tru truex nul nulll True ' 'a' "\x" "\u12" "\u12g4" "\ "
  " "a [ ] { } [1 [,] [1,] [1,,2] [1}2] {"a"} {"a":} {"a":1,} {,} {a:1} {1:1} {"a":1]} [1] [1]2 // /**/1`
  .split(/\s+/);

Deno.test("exactly the texts that JSON.parse accepts are accepted", () => {
  for (const text of [...WHOLE, " [ 1 , 2 ]\r\n\t", '"\u007f\u0080\u2028\u{10ffff}"']) {
    assert.ok(isJson(text) && isTaken(text), text);
  }
  for (const text of [...BROKEN, "", " ", '"a\nb"', '"\u0000"', "\u00a01", "\u000b1", "1\u0000", "\ufeff1"]) {
    assert.equal(isTaken(text), isJson(text), JSON.stringify(text));
  }
});

Deno.test("a truncated or slightly changed JSON text is accepted if and only if JSON.parse accepts it", () => {
  const change = fc.record({
    at: fc.nat(),
    drop: fc.nat({ max: 3 }),
    put: fc.constantFrom(...'{}[],:"\\0-1.eEut \n\té\u0001'.split(""), ""),
  });
  // no backslash in keys: V8 misreads the text after such a key (nodejs/node#63785), even with broken escapes
  const stringUnit = fc.string({ minLength: 1, maxLength: 1 }).filter((character) => character !== "\\");
  const json = fc.oneof(
    fc.json({ stringUnit }),
    fc.jsonValue({ stringUnit }).map((value) => JSON.stringify(value, null, 1)),
  );
  fc.assert(
    fc.property(json, fc.array(change, { minLength: 1, maxLength: 3 }), (text, changes) => {
      for (const { at, drop, put } of changes) {
        const here = at % (text.length + 1);
        text = (text.slice(0, here) + put + text.slice(here + drop)).toWellFormed();
      }
      assert.equal(isTaken(text), isJson(text), text);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("depth is unlimited", () => {
  assert.ok(isTaken("[".repeat(1_000_000) + "]".repeat(1_000_000)));
  assert.ok(isTaken('{"a":['.repeat(100_000) + "]}".repeat(100_000)));
  assert.ok(!isTaken("[".repeat(1_000_000)));
});

Deno.test("members and elements are reported with their positions", () => {
  const text = String.raw` { "a" : [ 1 , {"b":2} ] , "\u0062" : "x" , "c":null } `;
  const bytes = new TextEncoder().encode(text);
  const json = new JsonBytes(bytes);
  const found: unknown[] = [];
  json.whole((at) =>
    json.members(at, (key, keyEnd, at) => {
      found.push(json.parsed(key, keyEnd), json.isKey(key, keyEnd, "b"));
      const each = (at: number) => {
        const end = json.end(at);
        found.push(json.parsed(at, end));
        return end;
      };
      return json.isList(at) ? json.elements(at, each) : each(at);
    })
  );
  assert.deepEqual(found, ["a", false, 1, { b: 2 }, "b", true, "x", "c", false, null]);
});
