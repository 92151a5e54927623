import assert from "node:assert/strict";
import { usersPlan } from "../../tests/support/users.ts";
import { inSpanish } from "./web/complaints.ts";

const user = { id: 1, firstName: "Ana", email: "ana@example.com", age: 30, company: { department: "Sales" } };

Deno.test("every kind of complaint is translated to Spanish, and quoted values stay unchanged", () => {
  const cases: [unknown, string][] = [
    [{ ...user, age: 70 }, "age: 70 es mayor que 65"],
    [{ ...user, age: 3 }, "age: 3 es menor que 18"],
    [{ ...user, age: [] }, "age: una lista no es un número"],
    [{ ...user, id: 1.5 }, "id: 1.5 no es un número entero"],
    [{ ...user, firstName: "" }, 'firstName: "" está vacío'],
    [{ ...user, firstName: 5 }, "firstName: 5 no es un texto"],
    [{ ...user, email: "a; b: missing" }, 'email: "a; b: missing" no es una dirección de correo electrónico'],
    [{ ...user, company: null }, "company.department: falta (company es nulo)"],
    [{ ...user, email: undefined, age: 66 }, "email: falta; age: 66 es mayor que 65"],
    [[], "No es un objeto: se encontró una lista, se esperaba un objeto JSON"],
  ];
  for (const [record, spanish] of cases) {
    const verdict = usersPlan.judgeLine(JSON.stringify(record));
    assert.ok(!verdict.valid);
    assert.equal(inSpanish(verdict.problems.map(({ message }) => message).join("; ")), spanish);
    const reasons = verdict.problems.map(({ reason }) => inSpanish(reason));
    for (const reason of reasons) assert.doesNotMatch(reason, / than | not |missing|empty/, reason);
  }
  assert.equal(inSpanish("age: greater than 65"), "age: es mayor que 65");
  assert.equal(inSpanish("something new"), "something new");
});
