import assert from "node:assert/strict";
import fc from "fast-check";
import { JsonBytes } from "../shared/files/json_bytes.ts";
import { recordPaths, Records } from "./records.ts";
import { linesOf } from "../tests/support/extraction.ts";

Deno.test("a record's text is kept byte for byte", () => {
  const records = [
    '{"id":9007199254740993,"height":1.0,"weight":1e2,"big":-0.10E+3}',
    '{"id":1,"id":2,"name":"caf\\u00e9 é \\"quoted\\" \\\\","slash":"\\/"}',
    '{"users":[{"users":"\\"users\\":[1]"}],"list":[[],{},[[1]]]}',
    "{}",
    '{ "spaced" :\t1 }',
    '"just text, with ] and } and , in it"',
    "[1,2]",
    "null",
    "-0.5",
    "true",
  ];
  assert.deepEqual(linesOf(`{"users": [ ${records.join(" , ")} ], "total":10}`), records);
  assert.deepEqual(linesOf(`{"users":[${records.join(",")}],"total":10}`), records);
});

Deno.test("a pretty-printed record becomes one line, otherwise unchanged", () => {
  const text =
    `{\r\n  "users": [\r\n    {\r\n      "id": 1.0,\r\n      "note": "a\\nb  c"\r\n    },\n    7\n  ]\n}\n`;
  assert.deepEqual(linesOf(text), ['{      "id": 1.0,      "note": "a\\nb  c"    }', "7"]);
});

Deno.test("skipped records leave no trace", () => {
  const bytes = new TextEncoder().encode('[{"id":1},{"id":22},{"id":333},{"id":4}]');
  const kept = (keep: (i: number) => boolean) => {
    const page = bytes.slice();
    return new TextDecoder().decode(
      new Records(page, new JsonBytes(page), 0, recordPaths("id")).intoLines(keep),
    );
  };
  assert.equal(kept((i) => i % 2 === 1), '{"id":22}\n{"id":4}\n');
  assert.equal(kept((i) => i !== 1), '{"id":1}\n{"id":333}\n{"id":4}\n');
  assert.equal(kept(() => false), "");
});

Deno.test("for any JSON of a page, lines are its elements, and ids are those of JSON.parse", () => {
  const blank = fc.constantFrom("", " ", "\n", "\r\n", "\t", "  \n ");
  const id = fc.oneof(fc.string(), fc.integer(), fc.jsonValue());
  const element = fc.oneof(
    fc.json(),
    fc.json().map((json) => JSON.stringify(JSON.parse(json), null, 2)),
    fc.tuple(id, fc.jsonValue()).map(([id, other]) => JSON.stringify({ other, id })),
    fc.constantFrom('"\\\\"', '"\\\\\\""', '{"users":[1]}', '"\\"users\\":["', "1.0", "9007199254740993"),
  );
  fc.assert(
    fc.property(fc.array(element, { maxLength: 8 }), blank, (elements, gap) => {
      const bytes = new TextEncoder().encode(`[${gap}${elements.join(`${gap},${gap}`)}${gap}]`);
      const records = new Records(bytes, new JsonBytes(bytes), 0, recordPaths("id"));
      assert.equal(records.end, bytes.length);
      assert.deepEqual(
        records.ids,
        elements.map((text) => {
          const id = JSON.parse(text)?.id;
          if (typeof id === "string") return JSON.stringify(id);
          if (typeof id !== "number") return undefined;
          return Number.isSafeInteger(id) ? id : JSON.stringify(id);
        }),
      );
      const lines = new TextDecoder().decode(records.intoLines(() => true));
      assert.equal(lines, elements.map((one) => `${one.trim().replace(/[\r\n]+/g, "")}\n`).join(""));
    }),
    { numRuns: 2_000 },
  );
});
