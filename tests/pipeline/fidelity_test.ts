import assert from "node:assert/strict";
import type { Handler } from "../../local/source/server.ts";
import { FLAWS } from "../../local/source/flaws.ts";
import { Users } from "../../local/source/users.ts";
import { startPipeline } from "../support/test_pipeline.ts";
import { needing } from "../support/needs.ts";

const test = needing("sshd");

const ORDINARY = `"firstName":"Emily","email":"emily@x.org","age":28,"company":{"department":"Engineering"}`;

/** Texts that `JSON.parse` followed by `JSON.stringify` would change. */
const STRANGE = [
  `{"id":9007199254740993,${ORDINARY}}`,
  `{"id":2,"height":1.0,"weight":1e2,"tiny":-0.0,"digits":0.10,${ORDINARY}}`,
  `{"id":3,"nickname":"\\u00e9\\ud83d\\ude00\\/\\u0000","raw":"é😀",${ORDINARY}}`,
  `{ "id" : 4 ,\t${ORDINARY} }`,
  `{"id":5,"b":1,"a":2,"10":3,"1":4,"a":5,"__proto__":{"admin":true},${ORDINARY}}`,
  `{"id":6,"huge":123456789012345678901234567890,"list":[1.0,[],{}],${ORDINARY}}`,
];

/** Creates a source that sends exactly these texts. */
function sourceOf(texts: readonly string[]): () => Handler {
  return () => (request) => {
    const { searchParams } = new URL(request.url);
    const [skip, limit] = ["skip", "limit"].map((name) => Number(searchParams.get(name))) as [number, number];
    const page = texts.slice(skip, skip + limit);
    return new Response(
      `{"users":[${page.join(",")}],"total":${texts.length},"skip":${skip},"limit":${page.length}}`,
      { headers: { "content-type": "application/json" } },
    );
  };
}

Deno.test("each record stays as the source wrote it: in the files, in the database, on the SFTP server", async () => {
  await using pipeline = await startPipeline({ wrap: sourceOf(STRANGE), env: { BATCH_SIZE: "4" } });
  await pipeline.start("extractor", "transformer", "saver");
  const run = await pipeline.completed(await pipeline.tell());

  const enriched = STRANGE.map((text) => text.slice(0, -1).trimEnd());
  assert.deepEqual(await pipeline.lines(run.raw_file!), STRANGE);
  const processed = await pipeline.lines(run.processed_file!);
  assert.equal(processed.length, STRANGE.length);
  processed.forEach((line, i) => {
    assert.ok(line.startsWith(enriched[i]!), line);
    assert.match(line.slice(enriched[i]!.length), /^\s*,"department_code":"ENG"\s*}$/);
  });
  const kept = (table: string) =>
    pipeline.sql<{ json: string }>(`SELECT json FROM ${table} ORDER BY id`).map(({ json }) => json);
  assert.deepEqual(kept("raw_records"), STRANGE);
  assert.deepEqual(kept("processed_records"), processed);
  for (const path of [run.raw_file!, run.processed_file!, run.dlq_file!]) {
    const delivered = await Deno.readTextFile(`${pipeline.site!.disk}/${path.split("/").at(-1)}`);
    assert.equal(delivered, await Deno.readTextFile(`${pipeline.folder}/${path}`));
  }
});

Deno.test("people with SQLite see exact numbers", async () => {
  await using pipeline = await startPipeline({ wrap: sourceOf(STRANGE), sftp: "none" });
  await pipeline.start("extractor", "transformer", "saver");
  await pipeline.completed(await pipeline.tell());
  const seen = (columns: string, line: number) =>
    pipeline.sql(`SELECT ${columns} FROM processed_users WHERE line = ${line}`)[0];
  assert.deepEqual({ ...seen("CAST(id AS TEXT) AS id, typeof(id) AS type", 1) }, {
    id: "9007199254740993",
    type: "integer",
  });
  assert.deepEqual({ ...seen("CAST(height AS TEXT) AS height, weight, digits", 2) }, {
    height: "1.0",
    weight: 100,
    digits: 0.1,
  });
  assert.equal(seen("substr(nickname, 1, 3) AS nickname", 3)!.nickname, "é😀/");
  assert.equal(seen("CAST(huge AS TEXT) AS huge", 6)!.huge, "123456789012345678901234567890");
});

test("records of a megabyte pass through the whole pipeline", async () => {
  const about = "x".repeat(1_000_000);
  const texts = Array.from({ length: 12 }, (_, i) => `{"id":${i},"about":"${about}",${ORDINARY}}`);
  await using pipeline = await startPipeline({ wrap: sourceOf(texts), sftp: "openssh" });
  await pipeline.start("extractor", "transformer", "saver");
  const run = await pipeline.completed(await pipeline.tell());
  assert.deepEqual([run.valid_count, run.invalid_count, run.delivery_state], [12, 0, "DELIVERED"]);
  assert.deepEqual(await pipeline.lines(run.raw_file!), texts);
  assert.equal(pipeline.sql("SELECT sum(length(about)) AS sum FROM processed_users")[0]!.sum, 12_000_000);
});

Deno.test("invalid records of every kind are distinguished, and stop nothing", async () => {
  const users = 208;
  await using pipeline = await startPipeline({ users, bad: 0.3 });
  await pipeline.start("extractor", "transformer", "saver");
  const run = await pipeline.completed(await pipeline.tell());
  const invalid = Math.floor(users * 0.3);
  assert.ok(invalid >= FLAWS.length, "each kind is there");
  assert.deepEqual([run.valid_count, run.invalid_count], [users - invalid, invalid]);
  assert.deepEqual(pipeline.tables(), {
    raw_users: users,
    processed_users: users - invalid,
    invalid_users: invalid,
  });

  const source = new Users(0.3, 1);
  const bad = Array.from({ length: users }, (_, i) => i).filter((i) => source.flawAt(i) !== undefined);
  const letters = (await pipeline.lines(run.dlq_file!)).map((line) => JSON.parse(line));
  letters.forEach(({ error_reason, raw_line, ...record }, i) => {
    assert.match(error_reason, /^[^:]+: ./);
    const original = JSON.parse(source.json(bad[i]!));
    assert.deepEqual(raw_line === undefined ? record : JSON.parse(raw_line), original);
  });
  const done = pipeline.events(run.run_id).find((event) =>
    event.type === "phase_completed" && event.phase === "TRANSFORMING"
  );
  assert.ok(done?.type === "phase_completed");
  const reasons = done.detail.reasons as { reason: string; count: number }[];
  const countOf = (reason: string) => reasons.find((counted) => counted.reason === reason)?.count ?? 0;
  assert.ok(
    countOf("age: less than 18") > 0 && countOf("company.department: missing") > 0,
    JSON.stringify(reasons),
  );
  assert.ok(reasons.reduce((sum, { count }) => sum + count, 0) >= invalid);
});
