/**
 * What the pipeline made of a source of 2,000 users, of which a tenth are bad, before pipelines had definitions: the sums were taken of what
 * commit 803ff27 wrote. Run ids, times and the
 * identity of the rules are left out.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { startPipeline } from "../support/test_pipeline.ts";

const FILES = {
  raw_file: "b48d7f1008bd16bbf1be4c460617da30d5076b6d4de84367aad0479a5e7a67a4",
  processed_file: "fff674082fee71d8f3d1f0c54094af4f9c7a3bf9954b8f10870a7e5cdc23d47d",
  dlq_file: "14461edf969752c5baf80720b3dc536714a6a91893794c017f0cba052255c521",
};
const TABLES = {
  raw_users: "f0e6d2807f2d2a9ad1cd91ebb51f19efd77d0c6a8b11a81496a7abf550ef50cd",
  processed_users: "e23a4203a4aad573802bfe7cc1f29b7e62e6db9ea6f72410f3af4afa91b34260",
  invalid_users: "97f5159e4b3f934c8d052e7eec1e5c374ea09987a7db101738353457151f5d68",
};
const COMPLETENESS = { announced: 2_000, received: 2_000, missing: 0, repeated: 0 };
const MANIFEST = "f5d436d37b52a15f55cfb797b27b6be0c8363727e5240f5aa1157b7d7355cc46";
const MESSAGES = "c88d406ac32a57c096fa9672692e8f02d1d8709c1a857b1ec2d3b9229a4159b4";

const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");

Deno.test("users are to the byte what they were before pipelines had definitions: files, deliveries, tables and messages", async () => {
  await using pipeline = await startPipeline({ users: 2_000, bad: 0.1 });
  await pipeline.start("extractor", "transformer", "saver");
  const run = await pipeline.completed(await pipeline.tell());
  const plain = (text: string) =>
    text.replaceAll(run.run_id, "RUN").replaceAll(/\d{8}_\d{6}/g, "STAMP")
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME").replaceAll(/127\.0\.0\.1:\d+/g, "HOST")
      .replaceAll(/("rules_sha256": ?")\w+/g, "$1RULES");

  for (const [kind, sum] of Object.entries(FILES)) {
    const path = run[kind as keyof typeof FILES]!;
    const file = await Deno.readFile(`${pipeline.folder}/${path}`);
    assert.equal(sha256(file), sum, path);
    const delivered = await Deno.readFile(`${pipeline.site!.disk}/${path.split("/").at(-1)}`);
    assert.equal(sha256(delivered), sum, `${path} as delivered`);
  }
  for (const [table, sum] of Object.entries(TABLES)) {
    const rows = pipeline.sql(`SELECT * FROM ${table} ORDER BY line`);
    assert.equal(sha256(rows.map((row) => plain(JSON.stringify(row))).join("\n")), sum, table);
  }
  const manifest = (await pipeline.remoteFiles()).find((name) => name.startsWith("manifest_"))!;
  const { completeness, ...before } = JSON.parse(
    await Deno.readTextFile(`${pipeline.site!.disk}/${manifest}`),
  );
  assert.deepEqual(completeness, COMPLETENESS, "the manifest may only get additions");
  const text = plain(`${JSON.stringify(before, null, 2)}\n`);
  assert.equal(sha256(text), MANIFEST, text);

  using queue = new DatabaseSync(`${pipeline.folder}/database/queue.db`, { readOnly: true });
  const messages = queue.prepare(
    "SELECT CAST(body AS TEXT) AS body FROM messages WHERE mailbox LIKE '%_complete' ORDER BY seq",
  ).all() as { body: string }[];
  const bodies = messages.map(({ body }) => {
    const { pipeline: name, completeness, ...others } = JSON.parse(plain(body));
    assert.equal(name, "users");
    assert.deepEqual(completeness, COMPLETENESS);
    return JSON.stringify({ ...others, id: "ID" });
  });
  assert.equal(sha256(bodies.join("\n")), MESSAGES, bodies.join("\n"));
});
