import assert from "node:assert/strict";
import fc from "fast-check";
import { sliceElements } from "./slices.ts";

Deno.test("a record's text comes through byte for byte", () => {
  const records = [
    '{"id":9007199254740993,"height":1.0,"weight":1e2,"big":-0.10E+3}',
    '{"id":1,"id":2,"name":"caf\\u00e9 \\"quoted\\" \\\\","slash":"\\/"}',
    '{"users":[{"users":"\\"users\\":[1]"}],"list":[[],{},[[1]]]}',
    "{}",
    '{ "spaced" :\t1 }',
    '"just text, with ] and } and , in it"',
    "[1,2]",
    "null",
    "-0.5",
    "true",
  ];
  const text = `{"users": [ ${records.join(" , ")} ], "total":10,"skip":0,"limit":10}`;
  JSON.parse(text);
  assert.deepEqual(sliceElements(text, "users"), records);
});

Deno.test("only the top-level list is taken, wherever it stands and however its key is written", () => {
  const text = String.raw`{"note":"\"users\":[0]","nested":{"users":[1]},"\u0075sers":[2,3],"total":2}`;
  assert.deepEqual(sliceElements(text, "users"), ["2", "3"]);
  assert.deepEqual(sliceElements(`{"total":0,"users":[]}`, "users"), []);
});

Deno.test("of duplicate keys the last one counts, as in JSON.parse", () => {
  assert.deepEqual(sliceElements(`{"users":[1,2],"users":[3]}`, "users"), ["3"]);
});

Deno.test("a pretty-printed record becomes one line, and nothing else of it changes", () => {
  const text =
    `{\r\n  "users": [\r\n    {\r\n      "id": 1.0,\r\n      "note": "a\\nb  c"\r\n    },\n    7\n  ]\n}\n`;
  assert.deepEqual(sliceElements(text, "users"), ['{      "id": 1.0,      "note": "a\\nb  c"    }', "7"]);
});

Deno.test("whatever JSON a page holds, slices are its elements", () => {
  const blank = fc.constantFrom("", " ", "\n", "\r\n", "\t", "  \n ");
  const element = fc.oneof(
    fc.json(),
    fc.json().map((json) => JSON.stringify(JSON.parse(json), null, 2)),
    fc.constantFrom('"\\\\"', '"\\\\\\""', '{"users":[1]}', '"\\"users\\":["', "1.0", "9007199254740993"),
  );
  const others = fc.dictionary(fc.string().filter((key) => key !== "users"), fc.jsonValue(), { maxKeys: 3 });
  fc.assert(
    fc.property(
      fc.array(element, { maxLength: 8 }),
      others,
      others,
      blank,
      (elements, before, after, gap) => {
        const inner = (object: object) => JSON.stringify(object).slice(1, -1);
        const list = `"users"${gap}:${gap}[${gap}${elements.join(`${gap},${gap}`)}${gap}]`;
        const text = `${gap}{${gap}${
          [inner(before), list, inner(after)].filter((part) => part !== "").join(`${gap},${gap}`)
        }${gap}}`;
        const slices = sliceElements(text, "users");
        assert.deepEqual(slices, elements.map((one) => one.trim().replace(/[\r\n]+/g, "")));
        assert.deepEqual(slices.map((one) => JSON.parse(one)), JSON.parse(text).users);
      },
    ),
    { numRuns: 2_000 },
  );
});
