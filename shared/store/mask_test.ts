import assert from "node:assert/strict";
import { PermanentError } from "../errors/errors.ts";
import { parseExact } from "../pipeline/exact_json.ts";
import { maskOf, maskOfKind, maskRecord } from "./mask.ts";

const JUDGED = ["id", "age", "company.department"];
const MASK = maskOf(["password", "bank.cardNumber", "company.address.city"]);

Deno.test("masked fields show ***, the rest stays, and the record itself isn't changed", () => {
  const record = {
    id: 1,
    password: "secret",
    bank: { cardNumber: "4111", currency: "EUR" },
    company: { name: "x", address: { city: "Rome" } },
  };
  assert.deepEqual(maskRecord(record, MASK), {
    id: 1,
    password: "***",
    bank: { cardNumber: "***", currency: "EUR" },
    company: { name: "x", address: { city: "***" } },
  });
  assert.equal(record.password, "secret");
  assert.equal(record.bank.cardNumber, "4111");
});

Deno.test("absent and null fields stay unchanged", () => {
  const record = { password: null, bank: { cardNumber: null }, company: null };
  assert.deepEqual(maskRecord(record, MASK), record);
  assert.deepEqual(maskRecord({}, MASK), {});
  assert.equal(maskRecord(null, MASK), null);
});

Deno.test("whole objects and numbers are masked too", () => {
  assert.deepEqual(maskRecord({ password: { old: "a" } }, MASK), { password: "***" });
  assert.deepEqual(maskRecord({ password: 0 }, MASK), { password: "***" });
});

Deno.test("a parent that isn't an object is hidden as a whole, up to the top-level value", () => {
  assert.deepEqual(maskRecord({ bank: "4111 1111" }, MASK), { bank: "***" });
  assert.deepEqual(maskRecord({ bank: [{ cardNumber: "4111" }] }, MASK), { bank: "***" });
  assert.deepEqual(maskRecord({ company: { name: "x", address: "12 Rome Street" } }, MASK), {
    company: "***",
  });
});

Deno.test("a record that isn't an object is hidden as a whole, unless nothing is masked", () => {
  assert.equal(maskRecord(["4111"], MASK), "***");
  assert.deepEqual(maskRecord(["4111"], maskOf([])), ["4111"]);
});

Deno.test("the wider of two names applies, in either order", () => {
  for (const fields of [["bank", "bank.iban"], ["bank.iban", "bank"]]) {
    assert.deepEqual(maskRecord({ bank: { iban: "x", currency: "EUR" } }, maskOf(fields)), { bank: "***" });
  }
});

Deno.test("the text of an unreadable line is masked if anything is", () => {
  const line = { raw_line: "{ssn: 1", error_reason: "Invalid JSON" };
  const shown = { raw_line: "***", error_reason: "Invalid JSON" };
  assert.deepEqual(maskRecord(line, maskOfKind("invalid", MASK, JUDGED)), shown);
  assert.deepEqual(maskRecord(line, maskOfKind("invalid", maskOf([]), JUDGED)), line);
});

Deno.test("the reason why a record is invalid is masked if it may quote a masked field", () => {
  const record = { age: 70, error_reason: "age: 70 is greater than 65" };
  for (const fields of [["age"], ["company"], ["company.department"], ["id"]]) {
    const shown = maskRecord(record, maskOfKind("invalid", maskOf(fields), JUDGED));
    assert.equal((shown as typeof record).error_reason, "***");
  }
  for (const fields of [["ssn"], ["company.address.city"]]) {
    assert.deepEqual(maskRecord(record, maskOfKind("invalid", maskOf(fields), JUDGED)), record);
  }
});

Deno.test("a key named like a built-in property of objects is a key like others", () => {
  const record = parseExact('{"__proto__":{"x":1},"constructor":2,"password":"p"}');
  assert.equal(
    JSON.stringify(maskRecord(record, MASK)),
    '{"__proto__":{"x":1},"constructor":2,"password":"***"}',
  );
});

Deno.test("invalid names are refused with what to do", () => {
  for (const field of ["", "a..b", ".a", 'a"b', "a\\b", "a\nb", "\ud800"]) {
    assert.throws(() => maskOf([field]), (error: unknown) => {
      assert(error instanceof PermanentError);
      assert.match(error.message, /Correct MASK_FIELDS/);
      return true;
    });
  }
});

Deno.test("numbers beyond 2^53 keep their digits, masked or not", () => {
  const text =
    '{"id":9007199254740993,"bank":{"account":123456789012345678901234567890},"card":"4111111111111111","half":0.5}';
  assert.equal(JSON.stringify(maskRecord(parseExact(text), MASK)), text);
  assert.deepEqual(maskRecord(parseExact('{"password":9007199254740993}'), MASK), { password: "***" });
  assert.deepEqual(maskRecord(parseExact('{"bank":9007199254740993}'), MASK), { bank: "***" });
});
