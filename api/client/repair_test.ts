import assert from "node:assert/strict";
import fc from "fast-check";
import { mergePatch } from "../../shared/pipeline/merge_patch.ts";
import { parseExact } from "../../shared/pipeline/exact_json.ts";
import { diff, draftOf, editable, isLine, patchOf, preview, recordOf, textOf, withField } from "./repair.ts";

const letter = {
  id: 1,
  firstName: "Ana",
  email: "ana@example.com",
  age: 70,
  ssn: "***",
  company: { department: "Legal" },
  error_reason: "age: 70 is greater than 65",
};

Deno.test("a changed field becomes a patch of that field only; changing it back leaves no patch", () => {
  const draft = withField(letter, undefined, "age", 42);
  assert.deepEqual(draft, { merge: { age: 42 } });
  assert.deepEqual(withField(letter, draft, "company.department", "Sales"), {
    merge: { age: 42, company: { department: "Sales" } },
  });
  assert.equal(withField(letter, draft, "age", 70), undefined);
  assert.deepEqual(patchOf("7", draft!), { recordId: "7", patch: { age: 42 } });
});

Deno.test("a missing or non-object parent is created when a nested field is set", () => {
  for (const company of [undefined, null, "Acme"]) {
    const draft = withField({ ...letter, company }, undefined, "company.department", "Sales");
    assert.deepEqual(draft, { merge: { company: { department: "Sales" } } });
  }
});

Deno.test("of edited JSON only the changes are sent: masked values are left out, removed fields are null", () => {
  const typed = editable(letter).replace("70", "42").replace(/ {2}"email".*\n/, "");
  assert.deepEqual(draftOf(letter, typed), { merge: { email: null, age: 42 } });
  assert.equal(draftOf(letter, editable(letter)), undefined);
  assert.deepEqual(draftOf(letter, "{"), { text: "{" });
  assert.deepEqual(draftOf(letter, "[1]"), { text: "[1]" });
});

Deno.test("numbers with more digits than a JavaScript number holds are shown in full and stay unchanged", () => {
  const big = parseExact('{"id":9007199254740993,"age":70,"error_reason":"x"}') as typeof letter;
  assert.match(editable(big), /9007199254740993/);
  assert.deepEqual(draftOf(big, editable(big).replace("70", "42")), { merge: { age: 42 } });
  assert.match(textOf(big, { merge: { age: 42 } }), /9007199254740993/);
});

Deno.test("a preview shows the corrected record and reports a moved placeholder", () => {
  assert.deepEqual(preview(letter, { merge: { age: 42 } }), {
    record: { ...recordOf(letter), age: 42 },
  });
  const moved = preview(letter, { merge: { email: "***" } });
  assert.ok("unusable" in moved && moved.unusable.includes("placeholder"));
  assert.ok("unusable" in preview(letter, { text: "{" }));
});

Deno.test("a line that was no object is replaced as a whole: its form is empty if the line is hidden, otherwise it contains the line", () => {
  const hidden = { raw_line: "***", error_reason: "Invalid JSON" };
  assert.ok(isLine(hidden) && !isLine(letter));
  assert.equal(editable(hidden), "");
  assert.equal(editable({ raw_line: "{oops", error_reason: "x" }), "{oops");
  assert.equal(draftOf(hidden, ""), undefined);
  assert.deepEqual(draftOf(hidden, "{}"), { text: "{}" });
});

Deno.test("for any two objects without null, applying their diff to one gives the other", () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      tie("object"),
      fc.array(tie("any"), { maxLength: 3 }),
    ),
    object: fc.dictionary(fc.string().filter((key) => key !== "__proto__"), tie("any"), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  })).object as fc.Arbitrary<Record<string, unknown>>;
  fc.assert(fc.property(value, value, (before, after) => {
    assert.deepEqual(mergePatch(before, diff(before, after)), after);
  }));
});
