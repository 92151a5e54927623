import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { integer } from "etl";
import fc from "fast-check";
import * as z from "zod";
import users from "../pipelines/users.ts";
import { explain } from "../shared/pipeline/problems.ts";
import { usersText } from "../tests/support/delivered.ts";
import { readLookups } from "./lookup.ts";
import { splitLines } from "../shared/files/lines.ts";
import { type Plan, planOf } from "../shared/pipeline/plan.ts";
import { usersPlan } from "../tests/support/users.ts";
import { transform } from "./transform.ts";

const USER = {
  id: 1,
  firstName: "Emily",
  email: "emily.johnson@x.dummyjson.com",
  age: 28,
  company: { department: "Engineering" },
};
const ENGINEERING = {
  key: "department_code",
  by: ["company", "department"],
  codeOf: (name: string) => name === "Engineering" ? "ENG" : undefined,
  otherwise: "UNKNOWN",
  path: "",
  size: 1,
};
const VALID = JSON.stringify(USER);

function user(change: Record<string, unknown>): string {
  return JSON.stringify({ ...USER, ...change });
}

function textOf(data: string | Uint8Array): string {
  return typeof data === "string" ? data : new TextDecoder("utf-8", { ignoreBOM: true }).decode(data);
}

/**
 * Transforms a raw file of these bytes, read in chunks of `chunk` bytes; returns the lines of both files and
 * the findings.
 */
async function transformed(
  raw: string | Uint8Array,
  { chunk = 50, maxLineBytes, asTexts = false, plan = usersPlan }: {
    chunk?: number;
    maxLineBytes?: number;
    asTexts?: boolean;
    plan?: Plan;
  } = {},
) {
  const bytes = typeof raw === "string" ? new TextEncoder().encode(raw) : raw;
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += chunk) {
      await Promise.resolve();
      yield bytes.subarray(at, at + chunk);
    }
  }
  async function* batches() {
    for await (const { first, bytes, lines, flaws } of splitLines(chunks(), maxLineBytes)) {
      yield { first, lines, flaws, ...(asTexts ? {} : { bytes }) };
    }
  }
  let processed = "";
  let dead = "";
  const progress: number[] = [];
  const findings = await transform(batches(), {
    processed: { write: (data) => Promise.resolve(void (processed += textOf(data))) },
    dead: { write: (data) => Promise.resolve(void (dead += textOf(data))) },
    plan,
    added: plan === usersPlan ? [ENGINEERING] : [],
    progress: (records) => void progress.push(records),
  });
  const lines = (text: string) => text.split("\n").slice(0, -1);
  assert.ok(processed === "" || processed.endsWith("\n"));
  assert.ok(dead === "" || dead.endsWith("\n"));
  return { processed: lines(processed), dead: lines(dead), progress, ...findings };
}

Deno.test("each line goes to one of the two files, in the order of the raw file", async () => {
  const raw = [user({ id: 1.5 }), user({ id: 2 }), "oops", user({ id: 3 }), "[1,2]"];
  const { processed, dead, valid, invalid, progress } = await transformed(`${raw.join("\n")}\n`);
  assert.deepEqual(processed, [
    `${raw[1]!.slice(0, -1)},"department_code":"ENG"}`,
    `${raw[3]!.slice(0, -1)},"department_code":"ENG"}`,
  ]);
  assert.deepEqual(dead, [
    `${raw[0]!.slice(0, -1)},"error_reason":"id: 1.5 is not an integer"}`,
    '{"raw_line":"oops","error_reason":"Invalid JSON: unexpected character"}',
    '{"raw_line":"[1,2]","error_reason":"Not an object: found an array, wanted a JSON object"}',
  ]);
  assert.deepEqual([valid, invalid, progress.at(-1)], [2, 3, 5]);
  assert.deepEqual(progress, progress.toSorted((a, b) => a - b));
});

Deno.test("an empty file gives empty files", async () => {
  assert.deepEqual(await transformed(""), {
    processed: [],
    dead: [],
    progress: [],
    valid: 0,
    invalid: 0,
    reasons: [],
    lookup_gaps: [],
    fields: [],
    types: [],
  });
});

Deno.test("blank lines aren't records; a byte order mark and Windows line ends don't matter", async () => {
  const { processed, valid, invalid } = await transformed(`\ufeff${VALID}\r\n\r\n \t\n${VALID}`);
  assert.deepEqual([valid, invalid], [2, 0]);
  assert.deepEqual(new Set(processed), new Set([`${VALID.slice(0, -1)},"department_code":"ENG"}`]));
});

Deno.test("bytes that aren't UTF-8 make a dead letter of only their line", async () => {
  const text = new TextEncoder().encode(`${user({ lastName: "?" })}\n${VALID}\n`);
  const raw = text.map((byte) => byte === 63 ? 0xff : byte);
  const { dead, valid, reasons } = await transformed(raw);
  assert.equal(valid, 1);
  assert.deepEqual(dead.map((line) => JSON.parse(line)), [{
    raw_line: user({ lastName: "\ufffd" }),
    error_reason: "Invalid UTF-8: bytes that are no UTF-8 are shown as \ufffd",
  }]);
  assert.deepEqual(reasons, [{ reason: "Invalid UTF-8", count: 1 }]);
});

Deno.test("a line that is too long becomes a dead letter with that reason", async () => {
  const { dead, valid, reasons } = await transformed(`${user({ about: "x".repeat(500) })}\n${VALID}\n`, {
    maxLineBytes: 200,
  });
  assert.equal(valid, 1);
  const { raw_line, error_reason } = JSON.parse(dead[0]!);
  assert.equal(raw_line, user({ about: "x".repeat(500) }).slice(0, 200));
  assert.match(error_reason, /^Line too long: /);
  assert.deepEqual(reasons, [{ reason: "Line too long", count: 1 }]);
});

Deno.test("reasons are counted without the values, most frequent first", async () => {
  const raw = [
    user({ age: 70 }),
    user({ age: 71, id: "x" }),
    user({ age: 17 }),
    "x",
    user({ age: 99, email: "" }),
    "y",
  ];
  const { reasons } = await transformed(raw.join("\n"));
  assert.deepEqual(reasons, [
    { reason: "age: greater than 65", count: 3 },
    { reason: "Invalid JSON", count: 2 },
    { reason: "id: not an integer", count: 1 },
    { reason: "age: less than 18", count: 1 },
    { reason: "email: not an email address", count: 1 },
  ]);
});

Deno.test("a department without code gives UNKNOWN and a gap, only in valid records", async () => {
  const of = (department: string, age = 20) => user({ age, company: { department } });
  const raw = [of("Magic"), of("Engineering"), of("Alchemy"), of(" Alchemy "), of("Astrology", 99)];
  const { processed, lookup_gaps } = await transformed(raw.join("\n"));
  assert.deepEqual(processed.map((line) => JSON.parse(line).department_code), [
    "UNKNOWN",
    "ENG",
    "UNKNOWN",
    "UNKNOWN",
  ]);
  assert.deepEqual(lookup_gaps, [{ department: "Alchemy", count: 2 }, { department: "Magic", count: 1 }]);
});

Deno.test("the report of a file stays small, however many departments and fields it has", async () => {
  const many = Object.fromEntries(Array.from({ length: 700 }, (_, i) => [`field${i}`, i]));
  const raw = Array.from({ length: 150 }, (_, i) => user({ company: { department: `D${i}` } }));
  raw.push(
    user({ ["long".repeat(100)]: 1 }),
    user(many),
    user({ company: { department: "y".repeat(10_000) } }),
  );
  const { lookup_gaps, fields, valid } = await transformed(raw.join("\n"), { chunk: 10_000 });
  assert.equal(valid, 153);
  assert.equal(lookup_gaps.length, 101);
  assert.deepEqual(lookup_gaps.at(-1), { department: "(other)", count: 51 });
  assert.equal(fields.length, 500);
  assert.ok(fields.every((field) => field.length <= 200));
});

Deno.test("fields are listed in order of appearance, including those of dead letters", async () => {
  const raw = [VALID, '{"id":2,"nickname":"x"}', "[1]", '{"__proto__":1,"id":3}', '{"badge":4}'];
  const { fields } = await transformed(raw.join("\n"));
  assert.deepEqual(fields, [...Object.keys(USER), "nickname", "__proto__", "badge"]);
});

Deno.test("the JSON types of each field's values are reported, including dead letters; of duplicate keys the last value counts", async () => {
  const raw = [
    '{"id":1,"name":"a","tags":[],"at" : null}',
    '{"id":2,"name":null,"tags":[1],"at":null}',
    '{"id":-3,"name":"b","tags":{},"flag":false}',
    '{"id":"4","flag":true,"twice":1,"twice":"x"}',
    '{"id":5, "flag":true,',
    '{"id":null,"twice":null,"twice":"y"}',
    '{"error_reason":"X","id":true}', // parsed in another way, because it was transformed before
  ];
  for (const asTexts of [false, true]) {
    const { fields, types } = await transformed(raw.join("\n"), { asTexts });
    assert.deepEqual(types, [
      { field: "id", types: ["string", "number", "boolean", "null"] },
      { field: "name", types: ["string", "null"] },
      { field: "tags", types: ["object", "array"] },
      { field: "at", types: ["null"] },
      { field: "flag", types: ["boolean"] },
      { field: "twice", types: ["string"] },
      { field: "error_reason", types: ["string"] },
    ]);
    assert.deepEqual(types.map(({ field }) => field), fields);
  }
});

Deno.test("for any lines, each is in one of the files, complete, and can be read again", async () => {
  const almost = fc.record({
    id: fc.oneof(fc.integer(), fc.jsonValue()),
    age: fc.oneof(fc.integer({ min: 17, max: 66 }), fc.jsonValue()),
    extra: fc.jsonValue(),
  }, { requiredKeys: [] }).map((change) => user(change));
  const line = fc.oneof(
    almost,
    fc.json(),
    fc.string({ unit: "binary" }).map((text) => text.replaceAll("\n", "").toWellFormed()),
    fc.constantFrom(
      '"\\ud800"',
      '{"a":"\\ud800"}',
      "\u0000",
      '{"__proto__":null}',
      user({ department_code: "X" }),
      user({ error_reason: "X" }),
      user({ error_reason: "X", age: 70 }),
      user({ company: [1], age: null, email: "\u202e" }),
      "{ }",
      VALID.replace('"id"', '"\\u0069d"'),
      VALID.replace("1,", "1.0,"),
      VALID.replace("{", "{ "),
      VALID.replace('"Emily"', '"Em\\u0069ly"'),
      VALID.replace("}}", "}").replace('{"dep', '"x","dep'),
      `${VALID.slice(0, -1)},"id":"x"}`,
      `${VALID.slice(0, -1)},"id":1,"company":{"department":"Engineering","department":""}}`,
      `${VALID.slice(0, -1)},"company":7}`,
      `${VALID} `,
      VALID.slice(0, -1),
      VALID.slice(0, 30),
      VALID.slice(30),
      '{"id":1}}',
      "\ufeff{}",
      "NaN",
    ),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 20 }),
      fc.integer({ min: 1, max: 300 }),
      async (lines, chunk) => {
        const raw = lines.map((text) => `${text}\n`).join("");
        const result = await transformed(raw, { chunk });
        const { processed, dead, valid, invalid } = result;
        assert.deepEqual(
          result,
          await transformed(raw, { chunk, asTexts: true }),
          "bytes are read like texts",
        );
        const texts = lines.map((text, i) => i === 0 ? text.replace(/^\ufeff/, "") : text)
          .map((text) => text.replace(/\r$/, "")).filter((text) => text.trim() !== "");
        assert.deepEqual([valid + invalid, processed.length, dead.length], [texts.length, valid, invalid]);
        const letters = dead.values();
        const records = processed.values();
        for (const text of texts) {
          const next = isValid(text) ? records.next().value! : letters.next().value!;
          const end = text.lastIndexOf("}");
          const whole = JSON.parse(next);
          if ("raw_line" in whole) assert.equal(whole.raw_line, text);
          else if (text.includes('"error_reason":"X"') && !isValid(text)) {
            assert.match(whole.error_reason, /^age: 70 is/);
          } else if (text.includes("department_code")) assert.equal(whole.department_code, "ENG");
          else assert.ok(next.startsWith(text.slice(0, end)), `${next}\n${text}`);
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

function isValid(text: string): boolean {
  try {
    const { id, age, firstName, company } = JSON.parse(text) ?? {};
    return firstName === "Emily" && company?.department === "Engineering" && Number.isInteger(id) &&
      typeof age === "number" && age >= 18 && age <= 65;
  } catch {
    return false;
  }
}

/** A schema, and records that match it or almost match it. */
const schema: fc.Arbitrary<z.ZodObject> = fc.letrec<{ value: z.ZodType; object: z.ZodObject }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<z.ZodType>(
      integer,
      z.number().min(-3).max(3),
      z.string().min(1),
      z.string().regex(/\S/, "empty"),
      z.boolean(),
      z.email(),
      z.enum(["a", "b"]),
      z.literal(7),
      z.unknown(),
      z.unknown().optional(),
      z.array(z.object({ a: z.number() })),
      z.union([z.string(), z.object({ a: integer })]),
    ),
    tie("value").map((inner) => z.optional(inner)),
    tie("value").map((inner) => z.nullable(inner)),
    tie("object"),
  ),
  object: fc.dictionary(fc.constantFrom("a", "b", "c", "\u00e9", 'd"e'), tie("value"), { maxKeys: 4 })
    .map((shape) => z.object(shape)),
})).object;

const anyRecord = fc.letrec<{ value: unknown; object: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, 0, 1, 7, 1.5, 5e-324, -0, 2 ** 64, "", " ", "a", "x@y.org", [], {}, [
      {
        a: 1,
      },
    ]),
    fc.jsonValue(),
    tie("object"),
  ),
  object: fc.dictionary(fc.constantFrom("a", "b", "c", "\u00e9", 'd"e', "f"), tie("value"), { maxKeys: 5 }),
})).object;

Deno.test("for any schema, bytes are judged like texts, and records as zod judges them", async () => {
  let valid = 0;
  const record = fc.tuple(anyRecord, fc.boolean()).map(([value, escape]) => {
    const text = JSON.stringify(value);
    return escape ? text.replaceAll('"a":', '"\\u0061":') : text;
  });
  await fc.assert(
    fc.asyncProperty(schema, fc.array(record, { minLength: 1, maxLength: 8 }), async (record, lines) => {
      const plan = planOf({ ...users, record });
      const raw = lines.map((line) => `${line}\n`).join("");
      const result = await transformed(raw, { plan });
      assert.deepEqual(result, await transformed(raw, { plan, asTexts: true }));
      for (const line of lines) {
        const problems = plan.judge(JSON.parse(line));
        assert.equal(new Set(problems.map(({ message }) => message)).size, problems.length);
        if (problems.length === 0) continue;
        // zod accepts a number within 1e-16 of an integer; the plan doesn't
        const isStricter = problems.every(({ message }) => message.endsWith("is not an integer"));
        assert.ok(isStricter || !record.safeParse(JSON.parse(line)).success, explain(problems));
      }
      valid += result.valid;
    }),
    { numRuns: 1_000 },
  );
  assert.ok(valid > 100, `${valid} were valid`);
});

Deno.test("5,000 users, a tenth of them invalid, give the same bytes and findings as ever", async () => {
  const bytes = new TextEncoder().encode(usersText(5_000));
  async function* batches() {
    yield* splitLines(ReadableStream.from([bytes]));
  }
  const [processed, dead] = [createHash("sha256"), createHash("sha256")];
  const { types: _, ...known } = await transform(batches(), {
    plan: usersPlan,
    added: (await readLookups(usersPlan)).added,
    processed: { write: (data) => Promise.resolve(void processed.update(data)) },
    dead: { write: (data) => Promise.resolve(void dead.update(data)) },
    progress: () => {},
  });
  assert.deepEqual({
    processed: processed.digest("hex"),
    dead: dead.digest("hex"),
    findings: createHash("sha256").update(JSON.stringify(known)).digest("hex"),
  }, {
    processed: "8bab3faa763f0cb5cea65cdd9bc897e41afb4d8143edc488cefbbc5807a23055",
    dead: "20c14ed552ae1cfe4e1a17ecdcd45e558320c14aea53f4087d72aebd6162c78d",
    findings: "afab4fd35b7c444a2612e0aaea23ce1d5c9588c25c3e2e2f88f4fd80de45fc45",
  });
});
