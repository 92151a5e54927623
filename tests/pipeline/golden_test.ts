/**
 * Compares the output for a source of 2,000 users, a tenth of them invalid, with the output before pipelines
 * had definitions. The checksums are those of commit 803ff27. Run ids, times and the identity of the rules are
 * left out.
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

/**
 * Requests to the API and the checksums of the answers. The `{detail}` for an unknown table lists the tables of
 * all pipelines, so it is left out.
 */
const ANSWERS: Record<string, string> = {
  "/etl_runs": "6591ed81323675b03b2be806cf51eb8288ae8298d201daf4844e0bc24a7cbbad",
  "/etl_runs/1": "3b56a9e9e972f846993dbfc9410f80ccf59a23969ee0c76f582562952bc47afe",
  "/etl_runs/2": "6aec15ec68f968e87a78407586623d4ea97289d0749f45f24a89dd7c11c548ce",
  "/etl_runs?limit=x": "37b1092e8784902ca671c7df1196669a62dba2ed3fd1447feb75528a2cfc5bd9",
  "/data/raw_users?limit=500&offset=150": "1332f80533371abb913c458e5fa30046f407a40879b18cd5c7832de5f3e23309",
  "/data/processed_users?limit=500": "72eaa7c53958ea8b2a14ebbe985d5c6b3d8cb23aa0b4ad317597a1197c4fb506",
  "/data/invalid_users?limit=1000": "0bbe310e3bed81b7fc7340bdb8b9cf10ab39f7a4468c931761f1eff1b4eb7f69",
};
const QUERIES: Record<string, string> = {
  "SELECT department_code, count(*) AS n FROM processed_users GROUP BY 1 ORDER BY 1":
    "57931f9c7eefc65b696685a2f698c802d71264693fd099c36c7e22766e0544aa",
  "SELECT * FROM invalid_users ORDER BY line DESC LIMIT 20":
    "1db8dbb5ac6d1afacf3fe20014d1ba85cc4caa4a112daddc9f95ebd86011cc09",
  "DELETE FROM raw_users": "f70c37db4192797937a9c21dbd1d70d52ad3271c32a56dfc911921472f32eb9d",
};

const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");

Deno.test("users gives the same bytes as before pipelines had definitions: files, deliveries, tables, messages and answers", async () => {
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

  await pipeline.start("api");
  const [, port] = /"port":(\d+)/.exec((await pipeline.logged(/"message":"ready".*"port":/, "api")).text)!;
  const answer = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
    return plain(`${response.status} ${await response.text()}`);
  };
  for (const [path, sum] of Object.entries(ANSWERS)) {
    const text = await answer(path);
    assert.equal(sha256(text), sum, `${path}: ${text.slice(0, 500)}`);
  }
  for (const [query, sum] of Object.entries(QUERIES)) {
    const text = await answer("/query_sql", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query }),
    });
    assert.equal(sha256(text), sum, `${query}: ${text.slice(0, 500)}`);
  }
});
