import assert from "node:assert/strict";
import { getIntrospectionQuery, parse } from "graphql";
import { fillRun, openApi, type TestApi } from "../../tests/support/api.ts";
import { costOf, MAX_COST } from "./limits.ts";
import { schema } from "./schema.ts";

const nested = (depth: number) =>
  `{ etlRuns(limit: 1) { ${"corrections { ".repeat(depth)} id ${"}".repeat(depth)} } }`;

/** Operations that no client needs, and the errors they cause. */
const REFUSED: [name: string, query: string, says: RegExp][] = [
  ["too deep", nested(20), /depth limit/],
  ["deep beyond the parser", `{ ${"a { ".repeat(100_000)} b ${"}".repeat(100_000)} }`, /Token limit/],
  [
    "too many names for one field",
    `{ ${Array.from({ length: 20 }, (_, i) => `a${i}: etlRuns { id }`).join(" ")} }`,
    /[Aa]liases limit/,
  ],
  ["too many tokens", `{ ${"etlRuns { id } ".repeat(1000)} }`, /Token limit/],
  [
    "too many directives",
    `{ etlRuns { id ${"@include(if: true) ".repeat(50)} } }`,
    /[Dd]irectives limit|non-repeatable/,
  ],
  [
    "too many rows of too many rows",
    "{ etlRuns(limit: 1000) { corrections { events { id } files { name sha256 } } } }",
    /requests up to \d+ values/,
  ],
  [
    "the same through fragments",
    "{ etlRuns(limit: 1000) { ...a } } fragment a on EtlRun { corrections { ...b } } fragment b on EtlRun { corrections { id runId status } }",
    /requests up to \d+ values/,
  ],
  [
    "a cycle of fragments",
    "{ etlRuns { ...a } } fragment a on EtlRun { corrections { ...a } }",
    /Cannot spread fragment|[Ll]imit/,
  ],
  [
    "introspection of introspection",
    "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }",
    /introspection depth|depth limit/,
  ],
  ["no such field", "{ etlRunz { id } }", /Did you mean .*"etlRuns"/],
  ["no GraphQL", "{", /Syntax Error/],
];

Deno.test("unnecessarily expensive operations are refused with a reason before they run", async (t) => {
  await using pipeline = await openApi();
  for (const [name, query, says] of REFUSED) {
    await t.step(name, async () => {
      const { data, errors } = await pipeline.ask(query);
      assert.equal(data ?? null, null);
      assert.match(errors?.[0]?.message ?? "", says);
      assert.notEqual(errors?.[0]?.extensions?.code, "INTERNAL_SERVER_ERROR");
    });
  }
  assert.equal((await pipeline.ask(getIntrospectionQuery())).errors, undefined);
});

Deno.test("the cost counts rows, from variables and defaults too", () => {
  const cost = (query: string, variableValues: Record<string, unknown> = {}) =>
    costOf({ schema, document: parse(query), variableValues });
  assert.equal(cost("{ etlRuns(limit: 3) { id runId } }"), 7);
  assert.equal(cost("{ etlRuns { id } }"), 101);
  assert.equal(cost("query ($n: Int) { etlRuns(limit: $n) { id } }", { n: 500 }), 501);
  assert.equal(cost("{ etlRunsConnection(first: 10) { edges { node { id } } } }"), 31);
  assert.ok(
    cost("{ etlRuns(limit: 1000) { id runId status validCount invalidCount files { name bytes } } }") <
      MAX_COST,
  );
});

Deno.test("a page of another site can't change anything: no GET, no form, no plain text, no batch", async (t) => {
  await using pipeline = await openApi();
  const mutation = "mutation { startRun { __typename } }";
  const post = (type: string, body: string | FormData) =>
    pipeline.send("/graphql", {
      method: "POST",
      headers: typeof body === "string" ? { "content-type": type } : {},
      body,
    });
  const form = new FormData();
  form.set("operations", JSON.stringify({ query: mutation }));
  form.set("map", "{}");
  for (
    const [name, answer, status] of [
      ["GET", () => pipeline.send(`/graphql?query=${encodeURIComponent(mutation)}`), 405],
      [
        "a form",
        () => post("application/x-www-form-urlencoded", `query=${encodeURIComponent(mutation)}`),
        415,
      ],
      ["a form of parts", () => post("", form), 415],
      ["plain text", () => post("text/plain", JSON.stringify({ query: mutation })), 415],
      ["GraphQL as such", () => post("application/graphql", mutation), 415],
      [
        "a batch",
        () => post("application/json", JSON.stringify([{ query: mutation }, { query: mutation }])),
        400,
      ],
    ] as const
  ) {
    await t.step(name, async () => {
      const given = await answer();
      assert.equal(given.status, status, await given.text());
    });
  }
  assert.equal((await pipeline.channel.mailbox("channel:start_run").state()).depth, 0);
});

Deno.test("a thousand runs with their fields are within the bounds", async () => {
  await using pipeline: TestApi = await openApi();
  await fillRun(pipeline.store);
  const { errors } = await pipeline.ask(
    "{ etlRuns(limit: 1000) { id runId status validCount invalidCount phases { phase durationMs } files { name } } }",
  );
  assert.equal(errors, undefined);
});
