import assert from "node:assert/strict";
import * as z from "zod";
import { PermanentError } from "../../errors/errors.ts";
import { integer } from "../../pipeline/mod.ts";
import { ADA, fixture, peopleWith, person, see } from "../../../tests/support/people.ts";
import { openSqlite } from "./open.ts";

Deno.test("the current table has a row for each key, typed columns, every other key, and the runs; masked fields show ***", async () => {
  await using people = await fixture();
  const first = await people.load([ADA, { id: 8, name: "Bob" }]);
  const second = await people.load([{ ...ADA, height: 171.5 }, { id: 8, name: "Bob" }]);
  const [ada, bob, ...others] = await see(people.store, "SELECT * FROM people ORDER BY id");
  const { changed_at, ...rest } = ada!;
  assert.deepEqual(others, []);
  assert.deepEqual(rest, {
    id: 7,
    name: "Ada",
    height: 171.5,
    born: "1815-12-10",
    isActive: 1,
    company: '{"department":"Engineering"}',
    ssn: "***",
    bank: '{"iban":"***","name":"B"}',
    nickname: "A",
    department_code: "ENG",
    "company.department": "Engineering",
    "company.title": null,
    first_run: first,
    changed_run: second,
    seen_run: second,
  });
  assert.equal(changed_at, (await people.store.current.moves([second])).get(second)!.at);
  assert.deepEqual([bob!.first_run, bob!.changed_run, bob!.seen_run], [first, first, second]);
  const [{ type }] = await see(people.store, "SELECT typeof(height) AS type FROM people WHERE id = 8") as [
    { type: string },
  ];
  assert.equal(type, "null");
});

Deno.test("changes list what each run added, changed, removed and restored, and in which fields", async () => {
  await using people = await fixture();
  const { store, load } = people;
  const runs = [
    await load([ADA, { id: 8, name: "Bob" }]),
    await load([{ ...ADA, bank: { iban: "DE2" }, height: 1 }]),
    await load([{ ...ADA, bank: { iban: "DE2" }, height: 1 }, { name: "Bob", id: 8 }]),
  ];
  const rows = await see(store, "SELECT key, change, run_id, fields FROM people_changes ORDER BY at, key");
  assert.deepEqual(rows, [
    { key: 7, change: "added", run_id: runs[0], fields: null },
    { key: 8, change: "added", run_id: runs[0], fields: null },
    { key: 7, change: "changed", run_id: runs[1], fields: '["height","bank.iban","bank.name"]' },
    { key: 8, change: "removed", run_id: runs[1], fields: null },
    { key: 8, change: "restored", run_id: runs[2], fields: null },
  ]);
  const counts = [...(await store.current.moves(runs)).values()].map((
    { added, changed, removed, restored },
  ) => [added, changed, removed, restored].join(" "));
  assert.deepEqual(counts, ["2 0 0 0", "0 1 1 0", "0 0 0 1"]);

  const history = await store.current.changes("people", { key: "8" }, { limit: 10 });
  assert.deepEqual(history.map(({ change, run_id }) => [change, run_id]), [
    ["added", runs[0]],
    ["removed", runs[1]],
    ["restored", runs[2]],
  ]);
  const [changed] = await store.current.changes("people", { runId: runs[1] }, { limit: 1 });
  const { before, after } = changed!;
  const records = await store.records.byIds("processed", [before!, after!]);
  assert.deepEqual([before, after].map((id) => (records.get(id!)!.record as typeof ADA).height), [171, 1]);
  assert.deepEqual((records.get(after!)!.record as typeof ADA).bank, { iban: "***" });
  const paged = [];
  for (let cursor = undefined as Parameters<typeof store.current.changes>[2]["after"];;) {
    const page = await store.current.changes("people", {}, { limit: 2, after: cursor });
    paged.push(...page.map(({ key, change }) => `${key} ${change}`));
    cursor = page.at(-1)?.cursor;
    if (page.length < 2) break;
  }
  assert.deepEqual(paged, rows.map(({ key, change }) => `${key} ${change}`));
});

Deno.test("a key that is invalid in a run isn't removed, nor are keys missing in a run that lacks records or requested only changes", async () => {
  await using people = await fixture();
  const { store, load } = people;
  const ids = async () =>
    (await see(store, "SELECT id, seen_run FROM people ORDER BY id")).map((
      { id, seen_run },
    ) => [id, seen_run]);
  const first = await load([{ id: 1, name: "a" }, { id: 2, name: "b" }]);
  const second = await load([{ id: 1, name: "a" }], {
    invalid: [{ id: 2, error_reason: "name: missing" }, "not json"],
  });
  assert.deepEqual(await ids(), [[1, second], [2, first]]);
  const third = await load([{ id: 1, name: "a" }], {
    completeness: { announced: 2, received: 1, missing: 1, repeated: 0 },
  });
  assert.deepEqual(await ids(), [[1, third], [2, first]]);
  const fourth = await load([{ id: 1, name: "a" }], {
    completeness: { announced: 1, received: 1, missing: 0, repeated: 0 },
  });
  assert.deepEqual(await ids(), [[1, fourth]]);
  assert.deepEqual((await store.current.invalidOf("people", 2, 9)).map(({ run_id }) => run_id), [second]);
});

Deno.test("of two records with one key in a run the later one counts, each time", async () => {
  await using people = await fixture();
  for (let run = 0; run < 2; run++) {
    await people.load([{ id: 1, name: "a" }, { id: 1, name: "b" }, { id: 2, name: "c" }]);
    assert.deepEqual(await see(people.store, "SELECT id, name FROM people ORDER BY id"), [
      { id: 1, name: "b" },
      { id: 2, name: "c" },
    ]);
  }
  const { rows } = await people.store.current.tableRows("people_changes", { limit: 9, offset: 0 });
  assert.deepEqual(rows.map((row) => row.slice(0, 2)), [[1, "added"], [2, "added"]]);
});

Deno.test("upsert removes nothing; append has no current table", async () => {
  await using people = await fixture(peopleWith({ load: "upsert" }));
  const first = await people.load([{ id: 1, name: "a" }, { id: 2, name: "b" }]);
  const second = await people.load([{ id: 2, name: "c" }]);
  assert.deepEqual(await see(people.store, "SELECT id, name, seen_run FROM people ORDER BY id"), [
    { id: 1, name: "a", seen_run: first },
    { id: 2, name: "c", seen_run: second },
  ]);
  await using other = await fixture(peopleWith({ load: "append" }));
  await other.load([{ id: 1, name: "a" }]);
  assert.deepEqual(await other.store.current.pipelines(), ["users"]);
  await assert.rejects(see(other.store, "SELECT * FROM people"), /no such table/);
  await assert.rejects(() => other.store.current.count("people"), PermanentError);
});

Deno.test("keys keep all their digits, and text that looks like a number stays text", async () => {
  await using people = await fixture(peopleWith({
    record: person.extend({ id: z.union([integer, z.string()]) }),
  }));
  const ids = ["18446744073709551617", "9007199254740993", "5", '"5"', '"x"'];
  for (let run = 0; run < 2; run++) await people.load(ids.map((id) => `{"id":${id},"name":"n"}`));
  const rows = await see(people.store, "SELECT id, typeof(id) AS type FROM people ORDER BY type, id");
  assert.deepEqual(rows.map(({ id, type }) => `${type} ${id}`), [
    "integer 5",
    "integer 9007199254740993",
    "text 18446744073709551617",
    "text 5",
    "text x",
  ]);
  assert.deepEqual((await people.store.current.byKeys("people", ["5"])).map(({ key }) => key), [5, "5"]);
});

Deno.test("pages of matching rows come in order, forwards and backwards, each row once", async () => {
  await using people = await fixture();
  const { store, load } = people;
  const names = ["ann", "Anton", "bert", "Bo", "cleo", "dan", "dan", "eve"];
  await load(
    names.map((name, id) => ({
      id,
      name,
      height: id * 10,
      company: { department: id % 2 ? "odd" : "even" },
    })),
  );
  const all = async (where: Parameters<typeof store.current.page>[1], from: "start" | "end" = "start") => {
    const found: string[] = [];
    for (let cursor = undefined as Parameters<typeof store.current.page>[2]["after"];;) {
      const page = await store.current.page("people", where, {
        limit: 2,
        from,
        [from === "start" ? "after" : "before"]: cursor,
      });
      const shown = page.map(({ key, record }) => `${key} ${(record as { name: string }).name}`);
      if (from === "start") found.push(...shown);
      else found.unshift(...shown);
      cursor = page.at(from === "start" ? -1 : 0)?.cursor;
      if (page.length < 2) return found;
    }
  };
  const inOrder = names.map((name, id) => `${id} ${name}`);
  assert.deepEqual(await all({}), inOrder);
  assert.deepEqual(await all({}, "end"), inOrder);
  assert.deepEqual(await all({ name: { eq: "dan" } }), ["5 dan", "6 dan"]);
  for (const from of ["start", "end"] as const) {
    assert.deepEqual(await all({ name: { like: "an%" } }, from), ["0 ann", "1 Anton"]);
    assert.deepEqual(await all({ name: { gt: "bert", lt: "eve" } }, from), ["4 cleo", "5 dan", "6 dan"]);
    assert.deepEqual(await all({ name: { in: ["eve", "dan", "ann"] } }, from), [
      "0 ann",
      "5 dan",
      "6 dan",
      "7 eve",
    ]);
  }
  assert.deepEqual(await all({ height: { gt: 20 }, "company.department": { eq: "even" } }), [
    "4 cleo",
    "6 dan",
  ]);
  assert.deepEqual(await all({ id: { in: [1, 3] } }), ["1 Anton", "3 Bo"]);
  assert.deepEqual(await all({ born: { eq: null }, name: { like: "%o" } }), ["3 Bo", "4 cleo"]);
  for (const field of ["ssn", "bank.iban", "nickname", "name; DROP TABLE etl_runs"]) {
    await assert.rejects(
      () => store.current.page("people", { [field]: { eq: "1" } }, { limit: 1 }),
      /Cannot search by the field/,
    );
  }
});

Deno.test("an index of the definition serves every kind of condition, also through the view", async () => {
  await using people = await fixture();
  const plans = await people.store.write((db) =>
    [
      "SELECT id FROM people WHERE name = 'a'",
      "SELECT id FROM people WHERE id = 1",
    ].map((query) =>
      db.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${query}`).map(({ detail }) => detail)[0]!
    )
  );
  for (const plan of plans) assert.match(plan, /^SEARCH c USING/);
});

Deno.test("indexes of fields whose names differ only in case, or equal the name of another index, coexist", async () => {
  const names = ["name", "NAME", "name nocase"];
  const texts = Object.fromEntries(names.map((name) => [name, z.string()]));
  const definition = peopleWith({ record: person.extend(texts), index: names });
  await using people = await fixture(definition);
  await people.load([{ id: 1, name: "a", NAME: "b", "name nocase": "c" }]);
  await using store = await openSqlite(people.path, { pipelines: [definition] });
  for (const [field, value] of [["name", "a"], ["NAME", "b"], ["name nocase", "c"]] as const) {
    const page = await store.current.page("people", { [field]: { eq: value } }, { limit: 9 });
    assert.deepEqual(page.map(({ key }) => key), [1], field);
  }
});

Deno.test("a definition with other fields gets their columns, one with another key is filled again; both from the existing runs", async () => {
  await using people = await fixture();
  const { path, load } = people;
  const runs = [
    await load([ADA]),
    await load([{ ...ADA, nickname: "B" }, { id: 8, name: "Ada", nickname: "C" }]),
  ];
  const never = new AbortController().signal;
  {
    await using store = await openSqlite(path, {
      pipelines: [
        peopleWith({ record: person.extend({ nickname: z.string().optional() }), index: ["nickname"] }),
      ],
    });
    assert.deepEqual(
      (await store.current.page("people", { nickname: { eq: "B" } }, { limit: 9 })).map(({ key }) => key),
      [7],
    );
    assert.equal(await store.fillCurrent({ signal: never }), 0);
    assert.deepEqual((await store.current.byKeys("people", [7])).map(({ first_run }) => first_run), [
      runs[0],
    ]);
  }
  await using store = await openSqlite(path, { pipelines: [peopleWith({ key: "name", index: [] })] });
  assert.equal(await store.current.count("people"), 0);
  assert.equal(await store.fillCurrent({ signal: never }), 2);
  assert.deepEqual(
    (await store.current.page("people", {}, { limit: 9 })).map((
      { key, first_run, changed_run },
    ) => [key, first_run, changed_run]),
    [["Ada", runs[0], runs[1]]],
  );
});

Deno.test("a masked key is shown as *** and can't be searched", async () => {
  await using people = await fixture(peopleWith({ mask: ["id"] }));
  const run = await people.load([ADA]);
  assert.deepEqual(await see(people.store, "SELECT x.key, p.id FROM people_changes AS x, people AS p"), [{
    key: "***",
    id: "***",
  }]);
  assert.deepEqual(
    (await people.store.current.changes("people", { runId: run }, { limit: 1 }))[0]!.key,
    "***",
  );
  assert.deepEqual((await people.store.current.page("people", {}, { limit: 1 }))[0]!.key, "***");
  await assert.rejects(
    () => people.store.current.page("people", { id: { eq: 7 } }, { limit: 1 }),
    PermanentError,
  );
});

Deno.test("the raw record of a current one is found by its key", async () => {
  await using people = await fixture();
  const run = await people.load([ADA], {
    raw: [{ id: 1 }, ADA],
    invalid: [{ id: 1, error_reason: "name: missing" }],
  });
  const id = (await people.store.current.rawOf("people", run, 7))!;
  assert.deepEqual((await people.store.records.byIds("raw", [id])).get(id)!.line, 2);
  assert.equal(await people.store.current.rawOf("people", run, 9), undefined);
  const twice = await people.load([ADA, { ...ADA, name: "Ida" }], {
    raw: [{ id: 1 }, "no JSON", ADA, { ...ADA, name: "Ida" }, { id: 2 }],
    invalid: [{ id: 1 }, "no JSON", { id: 2 }],
  });
  const later = (await people.store.current.rawOf("people", twice, 7))!;
  assert.deepEqual((await people.store.records.byIds("raw", [later])).get(later)!.line, 4);
});

Deno.test("the keys below a masked field aren't listed as changed fields", async () => {
  await using people = await fixture(peopleWith({ mask: ["bank.iban", "nickname"] }));
  await people.load([{ id: 1, name: "A", nickname: { "ada@example.com": 1 }, bank: { iban: { DE1: 1 } } }]);
  const run = await people.load([
    { id: 1, name: "B", nickname: { "ada@example.com": 2, x: 1 }, bank: { iban: { DE2: 1 }, name: "C" } },
  ]);
  const fields = ["bank.iban", "bank.name", "name", "nickname"];
  const [change] = await people.store.current.changes("people", { runId: run }, { limit: 9 });
  assert.deepEqual([...change!.fields].sort(), fields);
  const [row] = await see(people.store, `SELECT fields FROM people_changes WHERE run_id = '${run}'`);
  assert.deepEqual(JSON.parse(row!.fields as string).sort(), fields);
});
