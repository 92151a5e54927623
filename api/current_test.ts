import assert from "node:assert/strict";
import * as z from "zod";
import { newRunId } from "../shared/contracts/ids.ts";
import { integer, pipeline } from "../shared/pipeline/mod.ts";
import { planOf } from "../shared/pipeline/plan.ts";
import { openSqlite } from "../shared/store/sqlite/open.ts";
import { exactJson } from "../shared/pipeline/exact_json.ts";
import { shownOf } from "../shared/store/shown.ts";
import { fillRun, openApi, type TestApi, user } from "../tests/support/api.ts";
import { linesOf } from "../tests/support/store.ts";
import { usersPlan } from "../tests/support/users.ts";

/**
 * Loads two runs. The second drops one of three users, adds one, and changes name, password and department of
 * another.
 */
async function twoRuns(api: TestApi): Promise<[string, string]> {
  const first = await fillRun(api.store, { valid: [user(1), user(2), user(3)] });
  const other = {
    ...user(2),
    firstName: "Emma",
    password: "another",
    company: { department: "Sales", name: "Dooley" },
  };
  return [first, await fillRun(api.store, { valid: [user(1), other, user(4)] })];
}

const keysOf = (page: { nodes: { key: string }[] }) => page.nodes.map(({ key }) => key);

Deno.test("a run reports how many records it added, changed and removed, and each change shows its fields before and after, masked", async () => {
  await using api = await openApi();
  const [first, second] = await twoRuns(api);
  const { data, errors } = await api.ask(
    `query ($first: ID!, $second: ID!) {
      first: etlRun(runId: $first) { changes { added changed removed restored } }
      second: etlRun(runId: $second) { changes { added changed removed restored } }
      changed: changes(runId: $second, change: CHANGED) { nodes { key change runId fields missing run { runId }
        differences { field before after } before after } }
      removed: changes(runId: $second, change: REMOVED) { nodes { key missing after differences { field before after } } }
      all: changes(runId: $second) { nodes { key } }
      added: changes(runId: $first, change: ADDED, first: 2) { nodes { key } pageInfo { endCursor } }
    }`,
    { first, second },
  );
  assert.equal(errors, undefined);
  assert.deepEqual(data.first.changes, { added: 3, changed: 0, removed: 0, restored: 0 });
  assert.deepEqual(data.second.changes, { added: 1, changed: 1, removed: 1, restored: 0 });
  assert.deepEqual(keysOf(data.all), ["2", "3", "4"]);
  assert.deepEqual(keysOf(data.added), ["1", "2"]);
  const rest = await api.ask(
    `query ($first: ID!, $after: String) { changes(runId: $first, change: ADDED, after: $after) { nodes { key } } }`,
    { first, after: data.added.pageInfo.endCursor },
  );
  assert.deepEqual(keysOf(rest.data.changes), ["3"]);
  const [changed] = data.changed.nodes;
  assert.deepEqual([changed.key, changed.runId, changed.run.runId, changed.missing], [
    "2",
    second,
    second,
    null,
  ]);
  const byField = (a: { field: string }, b: { field: string }) => a.field < b.field ? -1 : 1;
  assert.deepEqual(changed.differences.sort(byField), [
    { field: "company.department", before: "Engineering", after: "Sales" },
    { field: "firstName", before: "Emily", after: "Emma" },
    { field: "password", before: "***", after: "***" },
  ]);
  assert.deepEqual([changed.before.ssn, changed.after.ssn], ["***", "***"]);
  const [removed] = data.removed.nodes;
  assert.deepEqual([removed.key, removed.after, removed.missing], ["3", null, null]);
  const ssn = removed.differences.find(({ field }: { field: string }) => field === "ssn");
  assert.deepEqual(ssn, { field: "ssn", before: "***", after: null });
  assert.ok(!JSON.stringify(data).includes("another") && !JSON.stringify(data).includes("900-590"));
});

Deno.test("a change whose records are no longer kept gives the reason, and its numbers stay", async () => {
  await using api = await openApi();
  const [, second] = await twoRuns(api);
  await api.store.write((db) => db.run("DELETE FROM processed_records WHERE json LIKE '%\"Emily\"%'"));
  const { data, errors } = await api.ask(
    `query ($second: ID!) { changes(runId: $second, change: CHANGED) { nodes {
      key fields differences { field } before after missing } } }`,
    { second },
  );
  assert.equal(errors, undefined);
  const [change] = data.changes.nodes;
  assert.deepEqual([change.key, change.differences, change.before], ["2", null, null]);
  assert.equal(change.after.firstName, "Emma");
  assert.equal(change.fields.length, 3);
  assert.match(change.missing, /^The record before the change is no longer kept/);
});

Deno.test("the current state is read page by page, by conditions on fields, nested ones too", async () => {
  await using api = await openApi();
  const [first, second] = await twoRuns(api);
  const found = async (where: unknown, more = "first: 10") => {
    const { data, errors } = await api.ask(
      `query ($where: JSON) { current(where: $where, ${more}) { nodes {
        key data changedAt firstRun { runId } changedRun { runId } seenRun { runId } } pageInfo { hasNextPage endCursor } } }`,
      { where },
    );
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data.current;
  };
  const all = await found(null);
  assert.deepEqual(keysOf(all), ["1", "2", "4"]);
  assert.equal(all.nodes[0].data.password, "***");
  const { firstRun, changedRun, seenRun } = all.nodes[1];
  assert.deepEqual([firstRun.runId, changedRun.runId, seenRun.runId], [first, second, second]);
  const page = await found(null, "first: 2");
  assert.deepEqual([keysOf(page), page.pageInfo.hasNextPage], [["1", "2"], true]);
  assert.deepEqual(keysOf(await found(null, `first: 2, after: "${page.pageInfo.endCursor}"`)), ["4"]);
  assert.deepEqual(keysOf(await found(null, "last: 1")), ["4"]);
  for (
    const [where, keys] of [
      [{ id: { eq: 2 } }, ["2"]],
      [{ id: { in: [1, 4, 9] } }, ["1", "4"]],
      [{ id: { gt: 1, lt: 4 } }, ["2"]],
      [{ firstName: { like: "em%Y" } }, ["1", "4"]],
      [{ "company.department": { eq: "Sales" } }, ["2"]],
      [{ company: { department: { in: ["Sales"] } }, age: { gt: 20.5 } }, ["2"]],
      [{ department_code: { eq: null } }, []],
    ] as const
  ) {
    assert.deepEqual(keysOf(await found(where)), keys, JSON.stringify(where));
  }
  const inline = await api.ask(
    '{ current(where: { company: { department: { eq: "Sales" } } }) { nodes { key } } }',
  );
  assert.deepEqual(keysOf(inline.data.current), ["2"]);
});

Deno.test("keys beyond 2^53 keep their digits in pages, cursors, conditions and histories", async () => {
  await using api = await openApi();
  const big = ["9007199254740993", "9007199254740995", "1234567890123456789"];
  const valid = ["5", ...big].map((id) => ({ ...user(0), id: exactJson.rawJSON(id) }));
  const runId = await fillRun(api.store, { valid });
  for (const list of ["current", "changes"]) {
    const seen: string[] = [];
    for (let after = "", more = true; more;) {
      const { data, errors } = await api.ask(
        `{ page: ${list}(first: 1${after}) { nodes { key } pageInfo { hasNextPage endCursor } } }`,
      );
      assert.equal(errors, undefined, JSON.stringify(errors));
      seen.push(...keysOf(data.page));
      more = data.page.pageInfo.hasNextPage;
      after = `, after: "${data.page.pageInfo.endCursor}"`;
    }
    assert.deepEqual(seen, ["5", ...big], list);
  }
  const { data } = await api.ask(
    `query ($key: ID!, $where: JSON) { current(where: $where) { nodes { key } }
      record(key: $key) { key origin { run { runId } raw { line } } changes { nodes { key } } } }`,
    { key: big[1], where: { id: { in: ["5", big[0]] } } },
  );
  assert.deepEqual(keysOf(data.current), ["5", big[0]]);
  assert.deepEqual([data.record.key, keysOf(data.record.changes)], [big[1], [big[1]]]);
  assert.deepEqual(data.record.origin, { run: { runId }, raw: { line: 3 } });
});

Deno.test("unusable conditions are refused, above all those on masked fields", async (t) => {
  await using api = await openApi();
  await twoRuns(api);
  const known = "id, .*firstName.*company\\.department";
  for (
    const [where, says] of [
      [{ ssn: { eq: "900-590-289" } }, `"ssn": it is masked.*wanted one of .*${known}`],
      [{ ssn: { like: "9%" } }, "it is masked"],
      [{ password: { lt: "f" } }, "it is masked"],
      [{ bank: { iban: { like: "GB%" } } }, '"bank": it is masked'],
      [{ "bank.iban": { gt: "G" } }, "it is masked"],
      [{ "crypto.wallet.coin": { eq: 1 } }, "it is masked"],
      [{ shoe: { eq: 1 } }, `"shoe": wanted one of .*${known}`],
      [{ company: { name: { eq: "x" } } }, '"company\\.name": wanted one of'],
      [{ age: 7 }, "condition on age: wanted eq, lt, gt"],
      [{ age: { ne: 7 } }, "condition on age"],
      [{ age: { eq: "7" } }, 'compare age with "7": wanted a number'],
      [{ firstName: { eq: 7 } }, "wanted a text"],
      [{ id: { in: Array.from({ length: 101 }, (_, n) => n) } }, "at most 100 values"],
      [{ firstName: { like: "%a%a%a%a%a%" } }, 'at most 5 "%"'],
      [Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`f${n}`, { eq: 1 }])), "at most 10"],
      [[], "wanted an object"],
      ["id = 1", "wanted an object"],
    ] as const
  ) {
    await t.step(JSON.stringify(where).slice(0, 60), async () => {
      const { data, errors } = await api.ask(
        "query ($where: JSON) { current(where: $where) { nodes { key } } }",
        {
          where,
        },
      );
      assert.equal(data ?? null, null);
      assert.match(errors![0]!.message, new RegExp(says));
      assert.equal(errors![0]!.extensions!.code, "BAD_USER_INPUT");
    });
  }
  const cost = await api.ask(
    "{ current(first: 500) { nodes { seenRun { corrections { events { run { id } } } } } } }",
  );
  assert.match(cost.errors![0]!.message, /at most 60000 are allowed/);
  for (const query of ['current(after: "W10")', 'changes(after: "W1tdLHt9XQ")', 'current(after: "e30")']) {
    const { errors } = await api.ask(`{ ${query} { nodes { key } } }`);
    assert.match(errors![0]!.message, /cursor/, query);
    assert.equal(errors![0]!.extensions!.code, "BAD_USER_INPUT");
  }
});

Deno.test("a record shows its current state, its raw line and rules, its changes, and when it was invalid", async () => {
  await using api = await openApi();
  const first = await fillRun(api.store, {
    valid: [user(1)],
    invalid: [{ ...user(2), age: 70, error_reason: "age: 70 is greater than 65" }],
  });
  const history = async (key: string) => {
    const { data, errors } = await api.ask(
      `query ($key: ID!) { record(key: $key) { key pipeline current { data }
        origin { run { runId } raw { line data corrects { id } } rulesSha256 areRulesCurrent lookupSha256 }
        changes(first: 10) { nodes { change runId } } invalid { errorReason runId corrections { runId } } } }`,
      { key },
    );
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data.record;
  };
  const bad = await history("2");
  assert.deepEqual([bad.current, bad.origin, bad.changes.nodes], [null, null, []]);
  assert.deepEqual(bad.invalid, [{
    errorReason: "age: 70 is greater than 65",
    runId: first,
    corrections: [],
  }]);
  const invalid = await api.ask("{ invalidRecords { nodes { id } } }");
  const id = Number(invalid.data.invalidRecords.nodes[0].id);
  const correction = await fillRun(api.store, { valid: [user(2)], correctionOf: first, corrects: [1] });
  const now = await history("2");
  assert.deepEqual([now.key, now.pipeline, now.current.data.ssn], ["2", "users", "***"]);
  assert.deepEqual(now.origin, {
    run: { runId: correction },
    raw: { line: 1, data: now.origin.raw.data, corrects: { id: String(id) } },
    rulesSha256: null,
    areRulesCurrent: null,
    lookupSha256: null,
  });
  assert.equal(now.origin.raw.data.password, "***");
  assert.deepEqual(now.changes.nodes, [{ change: "ADDED", runId: correction }]);
  assert.deepEqual(now.invalid[0].corrections, [{ runId: correction }]);
  assert.equal(await history("99"), null);
});

/** Two pipelines: one whose key is personal, and one without a current state. */
const people = planOf(pipeline({
  name: "people",
  record: z.object({ email: z.email(), age: integer }),
  key: "email",
  mask: ["email"],
  load: "snapshot",
  source: { url: "http://source/people", paging: { by: "none" } },
}));
const log = planOf(pipeline({
  name: "log",
  record: z.object({ id: integer }),
  key: "id",
  load: "append",
  source: { url: "http://source/log", paging: { by: "none" } },
}));

Deno.test("a masked key appears nowhere, not even in cursors, can't be searched, and paging still works", async () => {
  const plans = new Map([usersPlan, people, log].map((plan) => [plan.name, plan]));
  await using api = await openApi({}, { pipelines: { plans, broken: new Map() } });
  await using store = await openSqlite(api.path, {
    pipelines: [usersPlan, people, log].map((plan) => shownOf(plan)),
  });
  const runId = newRunId();
  const run = { runId, pipeline: "people", at: new Date().toISOString() };
  const lines = ["ada", "bob", "cy"].map((name, n) =>
    JSON.stringify({ email: `${name}@example.com`, age: n })
  );
  await store.announceRun(run);
  for (const [kind, texts] of [["raw", lines], ["processed", lines], ["invalid", []]] as const) {
    await store.loadFile(
      { runId, pipeline: "people", kind, name: `data/${kind}_people/a.jsonl` },
      linesOf([...texts]),
    );
  }
  await store.markLoaded({
    ...run,
    rawFile: "data/raw_people/a.jsonl",
    processedFile: "data/processed_people/a.jsonl",
    dlqFile: "data/dlq/invalid_people_a.jsonl",
    validCount: 3,
    invalidCount: 0,
  });
  for (const list of ["current", "changes"]) {
    const seen: number[] = [];
    let after = "";
    for (let more = true; more;) {
      const node = list === "current" ? "key data" : "key data: after";
      const { data, errors } = await api.ask(
        `{ page: ${list}(pipeline: "people", first: 1${after}) { edges { cursor node { ${node} } } pageInfo { hasNextPage endCursor } } }`,
      );
      assert.equal(errors, undefined, JSON.stringify(errors));
      const [{ cursor, node: { key, data: record } }] = data.page.edges;
      const text = JSON.stringify(data) + atob(cursor.replaceAll("-", "+").replaceAll("_", "/"));
      assert.ok(!text.includes("example.com"), text);
      assert.deepEqual([key, record.email], ["***", "***"]);
      seen.push(record.age);
      more = data.page.pageInfo.hasNextPage;
      after = `, after: "${cursor}"`;
    }
    assert.deepEqual(seen, [0, 1, 2], list);
  }
  for (
    const [query, says] of [
      [
        'current(pipeline: "people", where: { email: { like: "a%" } }) { nodes { key } }',
        /"email": it is masked/,
      ],
      ['changes(pipeline: "people", key: "ada@example.com") { nodes { key } }', /by its key: it is masked/],
      ['record(pipeline: "people", key: "ada@example.com") { key }', /by its key: it is masked/],
      ['current(pipeline: "log") { nodes { key } }', /log has no current state.*wanted one of people, users/],
      ['current(pipeline: "nobody") { nodes { key } }', /There is no pipeline "nobody"/],
    ] as const
  ) {
    const { errors } = await api.ask(`{ ${query} }`);
    assert.match(errors![0]!.message, says);
  }
  const { data } = await api.ask(
    "{ pipelines { name tables currentRecords currentFields { field type isIndexed } } }",
  );
  assert.deepEqual(data.pipelines.slice(0, 2), [
    {
      name: "log",
      tables: ["raw_log", "processed_log", "invalid_log"],
      currentRecords: null,
      currentFields: [],
    },
    {
      name: "people",
      tables: ["raw_people", "processed_people", "invalid_people", "people", "people_changes"],
      currentRecords: 3,
      currentFields: [{ field: "age", type: "INTEGER", isIndexed: false }],
    },
  ]);
});

Deno.test("GET /data/users returns the current state, and /data/users_changes its changes", async () => {
  await using api = await openApi();
  assert.equal((await api.send("/data/users")).status, 200);
  const [, second] = await twoRuns(api);
  const users = await api.send("/data/users?limit=2&offset=1");
  assert.equal(users.headers.get("x-total-count"), "3");
  const rows = await users.json();
  assert.deepEqual(
    rows.map((
      { id, firstName, ssn, changed_run }: Record<string, unknown>,
    ) => [id, firstName, ssn, changed_run]),
    [[2, "Emma", "***", second], [4, "Emily", "***", second]],
  );
  const changes = await api.send("/data/users_changes?offset=3");
  assert.equal(changes.headers.get("x-total-count"), "6");
  const seen = await changes.json();
  assert.deepEqual(
    seen.map(({ key, change, run_id }: Record<string, unknown>) => [key, change, run_id]),
    [[2, "changed", second], [3, "removed", second], [4, "added", second]],
  );
  const wrong = await api.send("/data/current$users");
  assert.equal(wrong.status, 400);
  assert.equal(
    (await wrong.json()).detail,
    "TableName not Allowed. Valid names: raw_users, processed_users, invalid_users, users, users_changes.",
  );
});
