import assert from "node:assert/strict";
import { integer } from "etl";
import * as z from "zod";
import users from "../../pipelines/users.ts";
import fc from "fast-check";
import { RecordReader } from "../../transformer/reader.ts";
import { fieldsOf } from "./fields.ts";
import { identityOf } from "./identity.ts";
import { planOf } from "./plan.ts";

const plan = (shape: Record<string, z.ZodType>) => planOf({ ...users, record: z.object(shape) });
const problemsOf = (shape: Record<string, z.ZodType>, record: unknown) =>
  plan(shape).judge(record).map(({ message }) => message);

Deno.test("a field is explained by its own rule, not by one whose name begins or ends the same", () => {
  const shape = {
    ageGroup: z.string(),
    age: z.number().max(65),
    a: z.object({ b: z.number() }),
    ab: z.number(),
  };
  const record = { ageGroup: "x", age: 70, a: { b: 1 }, ab: "x" };
  const problems = plan(shape).judge(record);
  assert.deepEqual(problems.map(({ field, wanted, message }) => [field, wanted, message]), [
    ["age", "a number up to 65", "age: 70 is greater than 65"],
    ["ab", "a number", 'ab: "x" is not a number'],
  ]);
});

for (
  const [schema, value, complaint] of [
    [integer, 1.5, "1.5 is not an integer"],
    [integer, 5e-324, "5e-324 is not an integer"],
    [z.int(), 1.5, "1.5 is not an integer"],
    [z.number().multipleOf(0.5), 0.3, "0.3 is not a multiple of 0.5"],
    [z.number().gt(3), 3, "3 is not greater than 3"],
    [z.number().lt(3), 3, "3 is not less than 3"],
    [z.string().min(1), "", '"" is empty'],
    [z.string().max(2), "abc", '"abc" is longer than 2 characters'],
    [z.string().regex(/^a/), "b", '"b" is not of the form /^a/'],
    [z.string().regex(/^a/, "of another make"), "b", '"b" is of another make'],
    [z.enum(["open", "closed"]), "gone", '"gone" is not one of "open", "closed"'],
    [z.literal("x"), 1, '1 is not "x"'],
    [z.iso.datetime(), "today", '"today" is not a date and time'],
    [z.iso.datetime(), 5, "5 is not a date and time"],
    [z.boolean(), "yes", '"yes" is not true or false'],
    [z.union([z.string(), z.number()]), true, "true is not of a kind that is allowed"],
    [z.array(z.string()).min(2), [], "an array is shorter than 2 elements"],
    [z.object({}), "x", '"x" is not an object'],
    [z.object({ a: z.string().optional() }), "x", '"x" is not an object'],
    [z.unknown(), undefined, "missing"],
  ] as const
) {
  Deno.test(`a value is refused: ${complaint}`, () => {
    assert.deepEqual(problemsOf({ field: schema }, value === undefined ? {} : { field: value }), [
      `field: ${complaint}`,
    ]);
  });
}

Deno.test("a problem inside a list is reported with its position, and counted without it", () => {
  const [problem, ...others] = plan({ tags: z.array(z.string()) }).judge({ tags: ["a", 1] });
  assert.deepEqual(others, []);
  assert.deepEqual([problem?.message, problem?.reason], [
    "tags.1: 1 is not a string",
    "tags: not a string",
  ]);
});

Deno.test("of an absent object each required field is missing; of an optional one none", () => {
  const inner = z.object({ a: z.string(), b: z.string().optional(), c: z.object({ d: z.number() }) });
  assert.deepEqual(problemsOf({ o: inner }, {}), ["o.a: missing", "o.c.d: missing"]);
  assert.deepEqual(problemsOf({ o: inner }, { o: 7 }), [
    "o.a: missing (o is a number)",
    "o.c.d: missing (o is a number)",
  ]);
  assert.deepEqual(problemsOf({ o: inner.optional() }, {}), []);
  assert.deepEqual(problemsOf({ o: inner.optional() }, { o: 7 }), [
    "o.a: missing (o is a number)",
    "o.c.d: missing (o is a number)",
  ]);
});

Deno.test("a key with NUL or a lone surrogate, which a database could confuse with another key, is refused", () => {
  const of = (key: string, record: unknown) =>
    planOf({
      ...users,
      record: z.object({ id: z.string(), o: z.object({ "a b": z.string() }) }),
      key: key as "id",
    })
      .judge(record).map(({ message }) => message);
  const complaint = "is a key with NUL or a lone surrogate";
  assert.deepEqual(of("id", { id: "a\0b", o: { "a b": "\ud800" } }), [
    String.raw`id: "a\u0000b" ${complaint}`,
  ]);
  assert.deepEqual(of("id", { id: "\udc00", o: 1 }), [
    String.raw`id: "\udc00" ${complaint}`,
    "o.a b: missing (o is a number)",
  ]);
  assert.deepEqual(of("o.a b", { id: "\0", o: { "a b": "\ud800x" } }), [
    String.raw`o.a b: "\ud800x" ${complaint}`,
  ]);
  assert.deepEqual(of("id", { id: "\u{1f600}\ufffd\u0001", o: { "a b": "" } }), []);
});

Deno.test("fields without rules are neither read nor judged", () => {
  const secret = z.unknown().optional();
  const { reading, rules, judge } = plan({
    id: integer,
    ssn: secret,
    bank: z.object({ iban: secret }).optional(),
  });
  assert.deepEqual(reading.map(({ key }) => key), ["id"]);
  assert.deepEqual(rules.map(({ field }) => field), ["id"]);
  assert.deepEqual(judge({ id: 1, ssn: [], bank: "text" }), []);
});

Deno.test("the rules' identity changes with a bound, a text, a pattern, a check and an added field, and with nothing else", () => {
  const same = {
    ...users,
    schedule: "off",
    mask: [],
    source: { ...users.source, url: "https://other.example" },
  };
  assert.equal(identityOf(planOf(same)), identityOf(planOf(users)));
  const { shape } = users.record;
  const changed = [
    { ...users, record: z.object({ ...shape, age: z.number().min(18).max(66) }) },
    { ...users, record: z.object({ ...shape, age: z.number().min(18).max(65, "too old") }) },
    { ...users, record: z.object({ ...shape, firstName: z.string().regex(/\S/, "blank") }) },
    { ...users, record: z.object({ ...shape, firstName: z.string().regex(/\S/i, "empty") }) },
    { ...users, record: z.object({ ...shape, id: z.number() }) },
    { ...users, record: z.object({ ...shape, email: z.email().optional() }) },
    { ...users, add: {} },
  ];
  const identities = [users, ...changed].map((definition) => identityOf(planOf(definition)));
  assert.equal(new Set(identities).size, identities.length);
});

Deno.test("the form is the schema as JSON Schema", () => {
  const { form } = plan({
    id: integer.min(1),
    state: z.enum(["open", "closed"]),
    at: z.iso.date().optional(),
    done: z.boolean().nullable(),
    ssn: z.unknown().optional(),
    deep: z.object({ tags: z.array(z.string().min(2)) }),
  });
  assert.deepEqual(form, {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    properties: {
      id: { type: "integer", minimum: 1 },
      state: { type: "string", enum: ["open", "closed"] },
      at: { type: "string", format: "date", pattern: (form.properties!.at as { pattern: string }).pattern },
      done: { type: ["boolean", "null"] },
      ssn: {},
      deep: {
        type: "object",
        properties: { tags: { type: "array", items: { type: "string", minLength: 2 } } },
        required: ["tags"],
      },
    },
    required: ["id", "state", "done", "deep"],
  });
});

/** Schemas that a record may have, and values that often match them. */
const LEAVES: [z.ZodType, fc.Arbitrary<unknown>][] = [
  [integer, fc.oneof(fc.maxSafeInteger(), fc.double())],
  [integer.min(3), fc.integer({ min: 0, max: 6 })],
  [z.int(), fc.oneof(fc.integer(), fc.double())],
  [z.number().gt(0).lt(10), fc.double({ min: -1, max: 11 })],
  [z.string().min(1).max(3), fc.string({ maxLength: 5 })],
  [z.string().regex(/^a/g), fc.constantFrom("a", "b", "ab")],
  [z.email(), fc.oneof(fc.emailAddress(), fc.string())],
  [z.iso.datetime(), fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-01", "x")],
  [z.iso.date(), fc.constantFrom("2026-02-28", "2026-02-30")],
  [z.url(), fc.oneof(fc.webUrl(), fc.string())],
  [z.uuid(), fc.oneof(fc.uuid(), fc.string())],
  [z.boolean(), fc.boolean()],
  [z.null(), fc.constantFrom(null, 0)],
  [z.enum(["open", "closed"]), fc.constantFrom("open", "closed", "toString")],
  [z.literal([1, "x", true]), fc.constantFrom(1, "x", true, "1")],
  [z.union([z.string(), z.number().min(5)]), fc.oneof(fc.string(), fc.integer({ min: 0, max: 9 }))],
  [
    z.discriminatedUnion("t", [
      z.object({ t: z.literal("a"), n: z.number() }),
      z.object({ t: z.literal("b") }),
    ]),
    fc.record({ t: fc.constantFrom("a", "b", "c"), n: fc.oneof(fc.integer(), fc.string()) }, {
      requiredKeys: ["t"],
    }),
  ],
  [z.tuple([z.string(), z.number()]), fc.tuple(fc.string(), fc.oneof(fc.integer(), fc.string()))],
  [
    z.record(z.string(), z.number()),
    fc.dictionary(fc.string(), fc.oneof(fc.integer(), fc.string()), { maxKeys: 3 }),
  ],
  [z.unknown(), fc.jsonValue()],
];
const KEYS = ["id", "a", "b c", "\u00e9\u4e00", "toString", "constructor", '"quoted\\"', "0"];

type Made = { schema: z.ZodType; value: fc.Arbitrary<unknown> };
const wrapped = ({ schema, value }: Made, wrap: number): Made => {
  if (wrap === 1) return { schema: schema.optional(), value: fc.option(value, { nil: undefined }) };
  if (wrap === 2) return { schema: schema.nullable(), value: fc.option(value, { nil: null }) };
  if (wrap === 3) return { schema: z.array(schema), value: fc.array(value, { maxLength: 3 }) };
  return {
    schema,
    value: fc.oneof({ weight: 8, arbitrary: value }, fc.jsonValue({ maxDepth: 1 }), fc.constant(undefined)),
  };
};
const { made } = fc.letrec<{ made: Made; leaf: Made; object: Made }>((tie) => ({
  made: fc.oneof({ maxDepth: 3, depthSize: "small" }, tie("leaf"), tie("object")),
  leaf: fc.tuple(fc.constantFrom(...LEAVES), fc.nat(6)).map(([[schema, value], wrap]) =>
    wrapped({ schema, value }, wrap)
  ),
  object: fc.tuple(fc.dictionary(fc.constantFrom(...KEYS), tie("made"), { maxKeys: 5 }), fc.nat(6)).map(
    ([shape, wrap]) => {
      const schema = z.object(
        Object.fromEntries(Object.entries(shape).map(([key, { schema }]) => [key, schema])),
      );
      const values = Object.fromEntries(Object.entries(shape).map(([key, { value }]) => [key, value]));
      return wrapped({ schema, value: fc.record({ ...values, more: fc.jsonValue() }) }, wrap);
    },
  ),
}));

Deno.test("the compiled check, the schema and the reader of bytes agree for any schema and record", () => {
  let valid = 0;
  let invalid = 0;
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...KEYS), made, { minKeys: 1, maxKeys: 5 }),
      fc.gen(),
      (shape, gen) => {
        const schema = z.object(
          Object.fromEntries(Object.entries(shape).map(([key, { schema }]) => [key, schema])),
        );
        const { judge, judgeLine, reading } = planOf({ ...users, record: schema }, z.compile);
        const reader = new RecordReader(reading);
        for (let i = 0; i < 3; i++) {
          const record = Object.fromEntries(
            Object.entries(shape).map(([key, { value }]) => [
              key,
              gen(() => value),
            ]),
          );
          const line = JSON.stringify({ ...record, rest: [1, { x: "}" }] });
          const parsed = JSON.parse(line);
          const problems = judge(parsed);
          const slow = fieldsOf(schema).schema.safeParse(parsed, { jitless: true });
          assert.equal(problems.length === 0, slow.success, line);
          if (slow.success) valid += 1;
          else invalid += 1;
          assert.ok(reader.read(new TextEncoder().encode(line)));
          assert.deepEqual(judge(reader.values), problems);
          assert.equal(judgeLine(line).valid, slow.success);
        }
      },
    ),
    { numRuns: 150 },
  );
  assert.ok(valid > 30 && invalid > 100, `${valid} valid, ${invalid} invalid`);
});
