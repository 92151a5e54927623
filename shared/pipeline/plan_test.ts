import assert from "node:assert/strict";
import { integer } from "etl";
import * as z from "zod";
import users from "../../pipelines/users.ts";
import { identityOf } from "./identity.ts";
import { planOf } from "./plan.ts";

const plan = (shape: Record<string, z.ZodType>) => planOf({ ...users, record: z.object(shape) });
const said = (shape: Record<string, z.ZodType>, record: unknown) =>
  plan(shape).judge(record).map(({ message }) => message);

Deno.test("a field is explained by its own rule, not by one that its name begins or ends with", () => {
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
    assert.deepEqual(said({ field: schema }, value === undefined ? {} : { field: value }), [
      `field: ${complaint}`,
    ]);
  });
}

Deno.test("what is wrong inside a list is said with its place, and counted without", () => {
  const [problem, ...others] = plan({ tags: z.array(z.string()) }).judge({ tags: ["a", 1] });
  assert.deepEqual(others, []);
  assert.deepEqual([problem?.message, problem?.reason], [
    "tags.1: 1 is not a string",
    "tags: not a string",
  ]);
});

Deno.test("of an absent object each field that it has to have is missing; of an optional one none", () => {
  const inner = z.object({ a: z.string(), b: z.string().optional(), c: z.object({ d: z.number() }) });
  assert.deepEqual(said({ o: inner }, {}), ["o.a: missing", "o.c.d: missing"]);
  assert.deepEqual(said({ o: inner }, { o: 7 }), [
    "o.a: missing (o is a number)",
    "o.c.d: missing (o is a number)",
  ]);
  assert.deepEqual(said({ o: inner.optional() }, {}), []);
  assert.deepEqual(said({ o: inner.optional() }, { o: 7 }), [
    "o.a: missing (o is a number)",
    "o.c.d: missing (o is a number)",
  ]);
});

Deno.test("what nothing is asked of is neither read nor judged", () => {
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

Deno.test("the rules' identity changes with a bound, a text, a pattern, a check and what is added, and with nothing else", () => {
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
