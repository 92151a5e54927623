import assert from "node:assert/strict";
import { loadTexts, tempStore } from "../../../tests/support/store.ts";
import { leastMs } from "../../../tests/support/timing.ts";
import type { RecordRow } from "../rows.ts";

const users = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => JSON.stringify({ id: from + n, ssn: `secret ${from + n}` }));
const idOf = (row: RecordRow) => (row.record as { id: number }).id;

Deno.test("records are read page by page in the file's order, of one run or of all, and always masked", async () => {
  await using temp = await tempStore(["ssn"]);
  await loadTexts(temp.store, "run-1", "raw", users(1, 5));
  await loadTexts(temp.store, "run-2", "raw", users(6, 5));
  const { records } = temp.store;

  const first = await records.page("raw_users", {}, { limit: 7 });
  const rest = await records.page("raw_users", {}, { limit: 7, after: first.at(-1)!.record_id });
  assert.deepEqual([...first, ...rest].map(idOf), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(first[5], {
    record_id: 2_000_000_001,
    run_id: "run-2",
    line: 1,
    insertion_date: first[5]!.insertion_date,
    record: { id: 6, ssn: "***" },
  });

  const run = { runId: "run-2" };
  assert.deepEqual((await records.page("raw_users", run, { limit: 2 })).map(idOf), [6, 7]);
  const last = await records.page("raw_users", run, { limit: 2, from: "end" });
  assert.deepEqual(last.map(idOf), [9, 10]);
  const before = await records.page("raw_users", run, { limit: 2, from: "end", before: last[0]!.record_id });
  assert.deepEqual(before.map(idOf), [7, 8]);
  assert.deepEqual(await records.page("raw_users", { runId: "none" }, { limit: 2 }), []);
  assert.deepEqual(await records.page("processed_users", run, { limit: 2 }), []);

  assert.equal(await records.count("raw_users"), 10);
  assert.equal(await records.count("raw_users", "run-1"), 5);
  assert.equal(await records.count("invalid_users"), 0);
  assert.deepEqual(
    [...(await records.byIds("raw", [1_000_000_002, 5])).values()].map((row) => row.record),
    [{ id: 2, ssn: "***" }],
  );
  assert.deepEqual(
    await records.unmaskedTexts("raw_users", [1_000_000_002, 5]),
    new Map([[1_000_000_002, users(2, 1)[0]]]),
  );
});

Deno.test("the rows of a table equal those of its view", async () => {
  await using temp = await tempStore(["ssn"]);
  await loadTexts(temp.store, "run-1", "raw", users(1, 3));
  const { columns, rows } = await temp.store.records.rows("raw_users", { limit: 1, offset: 1 });
  assert.equal(rows.length, 1);
  assert.equal(rows[0]![columns.indexOf("id")], 2);
  assert.equal(rows[0]![columns.indexOf("ssn")], "***");
});

Deno.test("a line that isn't JSON reads as its masked text", async () => {
  await using temp = await tempStore(["ssn"]);
  await loadTexts(temp.store, "run-1", "raw", ["{ssn: 1"]);
  const [row] = await temp.store.records.page("raw_users", {}, { limit: 1 });
  assert.deepEqual(row!.record, { raw_line: "***" });
});

Deno.test("a line with NUL characters is read completely", async () => {
  await using temp = await tempStore();
  await loadTexts(temp.store, "run-1", "raw", ["no \0 JSON"]);
  const { records } = temp.store;
  const [row] = await records.page("raw_users", {}, { limit: 1 });
  assert.deepEqual(row!.record, { raw_line: "no \0 JSON" });
  assert.deepEqual([...(await records.unmaskedTexts("raw_users", [row!.record_id])).values()], [
    "no \0 JSON",
  ]);
});

Deno.test("invalid records are found by a reason as the run counts it, or by any part of it", async () => {
  await using temp = await tempStore();
  const reasons = [
    "age: 70 is greater than 65",
    'email: "x" is not an email address; age: 71 is greater than 65',
    "height: 70 is greater than 65",
    "age: missing",
    "company.department: 100% missing",
  ];
  await loadTexts(temp.store, "run-1", "invalid", [
    "broken",
    ...reasons.map((error_reason) => JSON.stringify({ error_reason })),
  ]);
  const linesFor = async (reason: string) =>
    (await temp.store.records.page("invalid_users", { runId: "run-1", reason }, { limit: 10 })).map((row) =>
      row.line
    );
  assert.deepEqual(await linesFor("age: greater than 65"), [2, 3]);
  assert.deepEqual(await linesFor("age: missing"), [5]);
  assert.deepEqual(await linesFor("GREATER"), [2, 3, 4]);
  assert.deepEqual(await linesFor("100%"), [6]);
  assert.deepEqual(await linesFor("%"), [6]);
  assert.deepEqual(await linesFor("_ge"), []);
});

Deno.test("pages of 100 real users take milliseconds from views too", async () => {
  await using temp = await tempStore(["password", "bank.cardNumber", "crypto.wallet"]);
  const user = {
    id: 1,
    password: "x",
    bank: { cardNumber: "4111", currency: "EUR" },
    address: { city: "x".repeat(300), coordinates: { lat: 1.5, lng: 2.5 } },
    company: { department: "Legal", address: { city: "y".repeat(300) } },
    crypto: { coin: "Bitcoin", wallet: "0x1" },
    userAgent: "z".repeat(500),
  };
  await loadTexts(temp.store, "run-1", "raw", Array.from({ length: 5000 }, () => JSON.stringify(user)));
  const read = () => temp.store.records.rows("raw_users", { limit: 100, offset: 1000 });
  assert.equal((await read()).rows.length, 100);
  const took = await leastMs(read);
  assert(took < 100, `took ${took} ms`);
});

Deno.test("the lines of a loaded file are read back completely, in order, with gaps for blank lines", async () => {
  await using temp = await tempStore(["ssn"]);
  const texts = Array.from({ length: 450 }, (_, n) => n % 100 === 7 ? " " : `{"n":${n}.0,"ssn":"9"}`);
  await loadTexts(temp.store, "run-1", "raw", ["{}"]);
  const runId = "run-2";
  await loadTexts(temp.store, runId, "raw", texts);
  const [file] = (await temp.store.runs.filesOf([runId])).get(runId)!;
  const found = await Array.fromAsync(temp.store.records.unmaskedLines(file!));
  const wanted = texts.flatMap((text, n) => text === " " ? [] : [{ line: n + 1, text }]);
  assert.deepEqual(found, wanted);
});
