import assert from "node:assert/strict";
import fc from "fast-check";
import { z } from "zod";
import { identityOf } from "./identity.ts";
import { explain } from "./problems.ts";
import { usersPlan } from "../../tests/support/users.ts";

const { judge: problems, judgeLine: judge, rules: RULES } = usersPlan;

const VALID = {
  id: 1,
  firstName: "Emily",
  email: "emily.johnson@x.dummyjson.com",
  age: 28,
  company: { department: "Engineering" },
};

const without = (key: string) => Object.fromEntries(Object.entries(VALID).filter(([name]) => name !== key));

/** A record, or its text, and the findings. */
const GOLDEN: [record: unknown, says: string, ...counted: string[]][] = [
  [without("id"), "id: missing"],
  [{ ...VALID, id: null }, "id: null is not an integer", "id: not an integer"],
  [{ ...VALID, id: "1" }, 'id: "1" is not an integer', "id: not an integer"],
  [{ ...VALID, id: 1.5 }, "id: 1.5 is not an integer", "id: not an integer"],
  [{ ...VALID, id: true }, "id: true is not an integer", "id: not an integer"],
  [{ ...VALID, id: [1] }, "id: an array is not an integer", "id: not an integer"],
  [without("firstName"), "firstName: missing"],
  [{ ...VALID, firstName: "" }, 'firstName: "" is empty', "firstName: empty"],
  [{ ...VALID, firstName: " \t\u00a0" }, 'firstName: " \\t\u00a0" is empty', "firstName: empty"],
  [{ ...VALID, firstName: 7 }, "firstName: 7 is not a string", "firstName: not a string"],
  [{ ...VALID, firstName: {} }, "firstName: an object is not a string", "firstName: not a string"],
  [without("email"), "email: missing"],
  [{ ...VALID, email: "" }, 'email: "" is not an email address', "email: not an email address"],
  [
    { ...VALID, email: "nobody at example" },
    'email: "nobody at example" is not an email address',
    "email: not an email address",
  ],
  [{ ...VALID, email: "a@b" }, 'email: "a@b" is not an email address', "email: not an email address"],
  [{ ...VALID, email: null }, "email: null is not an email address", "email: not an email address"],
  [
    { ...VALID, email: "jürgen@müller.de" },
    'email: "jürgen@müller.de" is not an email address',
    "email: not an email address",
  ],
  [without("age"), "age: missing"],
  [{ ...VALID, age: "35" }, 'age: "35" is not a number', "age: not a number"],
  [{ ...VALID, age: null }, "age: null is not a number", "age: not a number"],
  [{ ...VALID, age: 17 }, "age: 17 is less than 18", "age: less than 18"],
  [{ ...VALID, age: 17.999 }, "age: 17.999 is less than 18", "age: less than 18"],
  [{ ...VALID, age: -0 }, "age: 0 is less than 18", "age: less than 18"],
  [{ ...VALID, age: 65.001 }, "age: 65.001 is greater than 65", "age: greater than 65"],
  [{ ...VALID, age: 70 }, "age: 70 is greater than 65", "age: greater than 65"],
  [
    { ...VALID, age: JSON.parse("1e999") },
    "age: Infinity is beyond the numbers that can be kept",
    "age: beyond the numbers that can be kept",
  ],
  [without("company"), "company.department: missing"],
  [
    { ...VALID, company: null },
    "company.department: missing (company is null)",
    "company.department: missing",
  ],
  [
    { ...VALID, company: "Acme" },
    "company.department: missing (company is a string)",
    "company.department: missing",
  ],
  [
    { ...VALID, company: [] },
    "company.department: missing (company is an array)",
    "company.department: missing",
  ],
  [{ ...VALID, company: {} }, "company.department: missing"],
  [
    { ...VALID, company: { department: "  " } },
    'company.department: "  " is empty',
    "company.department: empty",
  ],
  [
    { ...VALID, company: { department: null } },
    "company.department: null is not a string",
    "company.department: not a string",
  ],
  [
    { age: 70 },
    "id: missing; firstName: missing; email: missing; age: 70 is greater than 65; company.department: missing",
    "id: missing",
    "firstName: missing",
    "email: missing",
    "age: greater than 65",
    "company.department: missing",
  ],
  [[1, 2], "Not an object: found an array, wanted a JSON object", "Not an object"],
  [null, "Not an object: found null, wanted a JSON object", "Not an object"],
  ["text", "Not an object: found a string, wanted a JSON object", "Not an object"],
  [7, "Not an object: found a number, wanted a JSON object", "Not an object"],
  [false, "Not an object: found a boolean, wanted a JSON object", "Not an object"],
];

for (const [record, says, ...counted] of GOLDEN) {
  Deno.test(`an invalid record is reported: ${says}`, () => {
    const found = problems(record);
    assert.equal(explain(found), says);
    assert.deepEqual(found.map(({ reason }) => reason), counted.length > 0 ? counted : [says]);
    for (const { wanted } of found) assert.match(wanted, /^a/);
  });
}

for (
  const [what, change] of Object.entries({
    "the youngest": { age: 18 },
    "the oldest": { age: 65 },
    "an age with a fraction": { age: 18.5 },
    "an id below zero": { id: -1 },
    "an id beyond 2^53": { id: 2 ** 63 },
    "a name in another script": { firstName: "李" },
    "a name like a method": { firstName: "constructor", toString: 1, hasOwnProperty: null },
    "an apostrophe in an address": { email: "o'neil@x.org" },
  })
) {
  Deno.test(`a record may have ${what}`, () => {
    assert.deepEqual(problems({ ...VALID, ...change }), []);
  });
}

Deno.test("an integer may be written with a decimal point", () => {
  assert.equal(judge(JSON.stringify(VALID).replace('"id":1', '"id":1.0')).valid, true);
});

const text = fc.oneof(fc.string(), fc.constantFrom("", " ", "\u2003\n", "Sales"));
const anything = fc.oneof(
  fc.jsonValue(),
  text,
  fc.double({ noDefaultInfinity: false }),
  fc.constant(undefined),
);
const value = {
  id: fc.oneof(anything, fc.integer(), fc.double(), fc.maxSafeInteger()),
  firstName: anything,
  email: fc.oneof(anything, fc.emailAddress(), fc.constantFrom("a@b.co", "a@b", "@b.co", "a..b@c.de")),
  age: fc.oneof(anything, fc.integer({ min: 16, max: 67 }), fc.double({ min: 17, max: 66 })),
  company: fc.oneof(anything, fc.record({ department: anything }, { requiredKeys: [] })),
};
const almostUser = fc.record({ ...value, ssn: fc.string() }, { requiredKeys: [] });

/** The rules of the brief, in its words. */
const KEPT: Record<string, (user: Record<string, unknown>) => boolean> = {
  "id": ({ id }) => Number.isInteger(id),
  "firstName": ({ firstName }) => typeof firstName === "string" && firstName.trim() !== "",
  "email": ({ email }) => z.email().safeParse(email).success,
  "age": ({ age }) => typeof age === "number" && age >= 18 && age <= 65,
  "company.department": ({ company }) => {
    if (typeof company !== "object" || company === null || Array.isArray(company)) return false;
    const { department } = company as { department?: unknown };
    return typeof department === "string" && department.trim() !== "";
  },
};

Deno.test("the fields with a problem are those that break the brief, each once and in its order", () => {
  assert.deepEqual(Object.keys(KEPT), RULES.map(({ field }) => field));
  fc.assert(
    fc.property(almostUser, (user) => {
      const broken = Object.entries(KEPT).filter(([, isKept]) => !isKept(user)).map(([field]) => field);
      assert.deepEqual(problems(user).map(({ field }) => field), broken);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("any line gets a verdict, in one line of ordinary length", () => {
  const line = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.json(),
    almostUser.map((user) => JSON.stringify(user)),
    fc.tuple(almostUser, fc.nat(), fc.string({ maxLength: 1 })).map(([user, at, character]) => {
      const json = JSON.stringify(user);
      return json.slice(0, at % json.length) + character + json.slice(at % json.length + 1);
    }),
  );
  fc.assert(
    fc.property(line, (line) => {
      const verdict = judge(line);
      if (verdict.valid) {
        assert.deepEqual(problems(verdict.record), []);
        return;
      }
      assert.ok(verdict.problems.length > 0);
      const texts = explain(verdict.problems);
      assert.ok(texts.length < 3_000, texts);
      assert.doesNotMatch(texts, /[\p{C}\p{Zl}\p{Zp}]/u);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("the problem of a line that isn't JSON quotes nothing of it, but names the position of the error", () => {
  const secret = "QZXXZQQXZ";
  const json = JSON.stringify({ ssn: secret, list: [secret, 1.5, true, null], [secret]: { deep: secret } });
  const texts = new Set<string>();
  for (let at = 0; at <= json.length; at++) {
    for (const character of ["", "Q", '"', "\\", "{", "]", ",", ":", "7", "\u0007", secret]) {
      const verdict = judge(json.slice(0, at) + character + json.slice(at + 1));
      if (verdict.valid || verdict.record !== undefined) continue;
      const message = explain(verdict.problems);
      assert.match(message, /^Invalid JSON: /);
      assert.doesNotMatch(message, /[QZX]/);
      texts.add(message);
    }
  }
  assert.ok(texts.size > 100, `only ${texts.size} different messages`);
  assert.equal(
    explain(problemsOf('{"a":1 "b":2}')),
    "Invalid JSON: Expected ',' or '}' after property value at character 8",
  );
  assert.equal(explain(problemsOf("secret")), "Invalid JSON: unexpected character");
  assert.equal(explain(problemsOf('{"a":')), "Invalid JSON: the text ends too early");
});

function problemsOf(line: string) {
  const verdict = judge(line);
  assert.ok(!verdict.valid);
  return verdict.problems;
}

Deno.test("only fields with rules are quoted, shortened and without characters that control a terminal", () => {
  const texts = explain(problems({
    id: "i".repeat(1_000_000),
    firstName: 1,
    email: "\u001b[31m\u202ered\u0000\n" + "\u{1f600}".repeat(100),
    age: { secret: "SECRET" },
    company: "SECRET",
    ssn: "SECRET",
  }));
  assert.doesNotMatch(texts, /SECRET/);
  assert.ok(texts.length < 500, texts);
  assert.ok(texts.includes(String.raw`email: "\u001b[31m\u202ered\u0000\n😀`), texts);
  assert.ok(texts.isWellFormed());
});

Deno.test("lines of great depth and length get a verdict too", () => {
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  const user = JSON.stringify(VALID);
  const tooDeep = "Nested too deeply: more than 1000 objects and lists within each other";
  assert.equal(explain(problemsOf(user.replace("{", `{"deep":${deep},`))), tooDeep);
  assert.equal(explain(problemsOf(deep)), tooDeep);
  assert.equal(explain(problemsOf('{"a":'.repeat(100_000))), "Invalid JSON: the text ends too early");
  assert.equal(judge(JSON.stringify({ ...VALID, about: "x".repeat(1_000_000) })).valid, true);
  for (const email of ["a".repeat(1e6), `a@${"a.".repeat(5e5)}`, `${"a.".repeat(5e5)}@b`, "-".repeat(1e6)]) {
    assert.match(explain(problems({ ...VALID, email })), /^email: "[^"]{61}" is not an email address$/);
  }
});

Deno.test("names of the language's built-in properties are fields like any other", () => {
  const inherited = `{"__proto__":${JSON.stringify(VALID)}}`;
  assert.equal(problemsOf(inherited).length, 5);
  assert.equal(judge(JSON.stringify(VALID).replace("{", '{"__proto__":{"age":99},')).valid, true);
});

Deno.test("of two members with one name the last one counts", () => {
  assert.equal(judge(JSON.stringify(VALID).replace("{", '{"age":99,')).valid, true);
  assert.equal(
    explain(problemsOf(JSON.stringify(VALID).replace(/}$/, ',"age":99}'))),
    "age: 99 is greater than 65",
  );
});

Deno.test("the identity of the rules belongs to exactly these rules: a change of one has to be made here too", () => {
  assert.equal(identityOf(usersPlan), "0ca31634319fe47c6ab96251ef38534532a1bceed81741b64a1b1c1e97aa0a4f");
});
