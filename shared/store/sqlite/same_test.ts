import assert from "node:assert/strict";
import { loadTexts, tempStore } from "../../../tests/support/store.ts";
import type { SqliteStore } from "./open.ts";

const user = (id: number, name = "x") => JSON.stringify({ id, name, text: "y".repeat(200) });
const users = Array.from({ length: 1_000 }, (_, id) => user(id));

/** Loads a run; returns how many of its records store their own text. */
async function load(store: SqliteStore, run: string, texts: string[]): Promise<number> {
  await store.write((db) =>
    db.run(
      "INSERT INTO etl_runs (run_id, run_timestamp, status, status_at) VALUES (?, '', 'LOADING', '')",
      run,
    )
  );
  await loadTexts(store, run, "raw", texts);
  const [file] = (await store.runs.filesOf([run])).get(run)!;
  const lines = await Array.fromAsync(store.records.unmaskedLines(file!));
  assert.deepEqual(lines.map(({ text }) => text), texts);
  return await store.write((db) =>
    db.get<{ n: number }>(
      "SELECT count(*) AS n FROM raw_records WHERE id / 1000000000 = ? AND same_as IS NULL",
      file!.id,
    )!.n
  );
}

Deno.test("lines that are missing or new in places don't hide the others", async () => {
  await using temp = await tempStore();
  const { store } = temp;
  const names = users.map((_, id) => user(id, id % 3 === 0 ? "ключ 😀" : "x".repeat(id % 7)));
  await load(store, "1", names);
  assert.equal(await load(store, "2", names.filter((_, id) => id % 10 !== 3)), 0);
  assert.equal(await load(store, "3", names), 100, "what the file before doesn't hold");
  const more = names.flatMap((text, id) =>
    id % 50 === 9 ? [user(id + 5_000), text, user(id + 6_000)] : [text]
  );
  assert.equal(await load(store, "4", more), 40);
  const next = more.map((text, at) => at % 100 === 7 ? user(at + 7_000) : text).filter((_, at) =>
    at % 40 > 4
  );
  assert.equal(await load(store, "5", next), next.filter((text) => !more.includes(text)).length);
  assert.equal(await load(store, "6", next.slice(0, 3)), 0);
  assert.equal(await load(store, "7", next), next.length - 3);
});

Deno.test("an unchanged record is stored once, in whatever order runs arrive, and reads as it was loaded", async () => {
  await using temp = await tempStore();
  const { store } = temp;
  assert.equal(await load(store, "1", users), 1_000);
  assert.equal(await load(store, "2", users), 0);
  const changed = users.map((text, id) => id % 100 === 7 ? user(id, "new") : text);
  assert.equal(await load(store, "3", changed), 10);
  assert.ok(
    await load(store, "4", changed.toSpliced(300, 200)) <= 100,
    "after a gap at most one batch is stored again",
  );
  assert.equal(await load(store, "5", changed.toSpliced(300, 200)), 0);
  const backwards = changed.toSpliced(300, 200).toReversed();
  assert.ok(await load(store, "6", backwards) <= 100, "in another order all but the first batch");
  assert.equal(await load(store, "7", ["not json", ...backwards]), 1);
  const chains = await store.write((db) =>
    db.all(
      "SELECT 1 FROM raw_records AS r JOIN raw_records AS b ON b.id = r.same_as WHERE b.same_as IS NOT NULL",
    )
  );
  assert.deepEqual(chains, []);
});
