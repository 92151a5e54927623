import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { newRunId } from "../shared/contracts/ids.ts";
import { Phase2Complete } from "../shared/contracts/messages.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import { LocalFiles } from "../shared/files/local.ts";
import { type Engine, onEachEngine, storeOn, type TempPlace } from "../tests/support/engines.ts";
import type { Store } from "../shared/store/store.ts";
import { startChild } from "../tests/support/store.ts";
import { loadRun } from "./load.ts";

const NAMES = {
  raw_file: "raw_users/records_20261124_030000.jsonl",
  processed_file: "processed_users/etl_20261124_030000.jsonl",
  dlq_file: "dlq/invalid_users_20261124_030000.jsonl",
};

interface TestPipeline extends TempPlace {
  readonly data: string;
  readonly store: Store;
  readonly files: LocalFiles;
  readonly message: Phase2Complete;
}

/**
 * Creates a store and the three files of a run: `valid` processed records and two invalid ones. `fields` are
 * added to the message.
 */
async function pipeline(
  engine: Engine,
  fields: Record<string, unknown> = {},
  valid = 3,
): Promise<TestPipeline> {
  const folder = await Deno.makeTempDir();
  const data = `${folder}/data`;
  const lines = Array.from({ length: valid }, (_, n) => `{"id":${n},"name":"${"x".repeat(200)}"}`);
  const bad = ['{"id":-1}', "not json"];
  const texts = {
    raw_file: [...lines, ...bad],
    processed_file: lines.map((line) => line.replace(/}$/, ',"department_code":"ENG"}')),
    dlq_file: [
      '{"id":-1,"error_reason":"age: missing"}',
      '{"raw_line":"not json","error_reason":"Invalid JSON"}',
    ],
  };
  for (const [key, name] of Object.entries(NAMES)) {
    await Deno.mkdir(`${data}/${name.split("/")[0]}`, { recursive: true });
    await Deno.writeTextFile(`${data}/${name}`, texts[key as keyof typeof NAMES].join("\n") + "\n");
  }
  const sha256 = (key: keyof typeof NAMES) =>
    createHash("sha256").update(texts[key].join("\n") + "\n").digest("hex");
  const opened = await storeOn(engine);
  const message = Phase2Complete.parse({
    run_id: newRunId(),
    ...NAMES,
    valid_count: valid,
    invalid_count: 2,
    raw_sha256: sha256("raw_file"),
    processed_sha256: sha256("processed_file"),
    dlq_sha256: sha256("dlq_file"),
    published_at: "2026-11-24T03:00:07.123Z",
    ...fields,
  });
  // messages name files relative to the working directory, where a test must not write
  for (const [key, name] of Object.entries(NAMES)) message[key as keyof typeof NAMES] = `${data}/${name}`;
  return {
    ...opened,
    data,
    files: new LocalFiles(data),
    message,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

const counts = async ({ store }: TestPipeline) => [
  await store.records.count("raw_users"),
  await store.records.count("processed_users"),
  await store.records.count("invalid_users"),
];

onEachEngine("a run's files are loaded and counted in its row", async (engine) => {
  await using h = await pipeline(engine, {
    source: "https://example.com/users",
    fields: ["id", "name", "nickname"],
  });
  const reported: unknown[] = [];
  const detail = await loadRun(h.message, { ...h, progress: (progress) => reported.push(progress) });
  assert.deepEqual(detail, { records: 10, raw: 5, processed: 3, invalid: 2, skipped: 0 });
  assert.deepEqual(reported.at(-1), { done: 10, total: 10, unit: "records" });
  const run = (await h.store.runs.byRunId(h.message.run_id))!;
  assert.deepEqual(
    [
      run.raw_file,
      run.processed_file,
      run.dlq_file,
      run.valid_count,
      run.invalid_count,
      run.source,
      run.status,
    ],
    [
      h.message.raw_file,
      h.message.processed_file,
      h.message.dlq_file,
      3,
      2,
      "https://example.com/users",
      "LOADING",
    ],
  );
  assert(run.loaded_at !== null);
  const { columns, rows } = await h.store.records.rows("processed_users", { limit: 1, offset: 2 });
  assert.equal(rows[0]![columns.indexOf("department_code")], "ENG");
  assert(columns.includes("nickname"));
  if ("path" in h.at) assert.equal((await Deno.stat(`${h.at.path}-wal`)).size, 0);
});

onEachEngine("the same message again changes nothing, and needs no files", async (engine) => {
  await using h = await pipeline(engine);
  await loadRun(h.message, h);
  const run = await h.store.runs.byRunId(h.message.run_id);
  await Deno.remove(h.data, { recursive: true });
  const detail = await loadRun(h.message, h);
  assert.deepEqual(detail, { records: 10, raw: 5, processed: 3, invalid: 2, skipped: 3 });
  assert.deepEqual(await h.store.runs.byRunId(h.message.run_id), run);
  assert.deepEqual(await counts(h), [5, 3, 2]);
});

onEachEngine(
  "a message of another program, without checksums and run, is loaded once too",
  async (engine) => {
    await using h = await pipeline(engine, {
      raw_sha256: undefined,
      processed_sha256: undefined,
      dlq_sha256: undefined,
    });
    await loadRun({ ...h.message, published_at: undefined }, h);
    assert.equal((await loadRun(h.message, h)).skipped, 3);
    assert.deepEqual(await counts(h), [5, 3, 2]);
    const { columns } = await h.store.records.rows("raw_users", { limit: 1, offset: 0 });
    assert(columns.includes("name"), "a key that no message reported has no column");
  },
);

onEachEngine(
  "a file that differs from its announcement is refused; the files before it stay, and the run isn't marked",
  async (engine) => {
    await using h = await pipeline(engine);
    const processed = await Deno.readTextFile(h.message.processed_file);
    await Deno.writeTextFile(h.message.processed_file, processed.replace('"id":0', '"id":9'));
    await assert.rejects(loadRun(h.message, h), (error: unknown) => {
      assert(error instanceof PermanentError);
      assert.match(error.message, /its SHA-256 is [0-9a-f]{64}, but [0-9a-f]{64} was announced/);
      return true;
    });
    assert.deepEqual(await counts(h), [5, 0, 0]);
    assert.equal((await h.store.runs.byRunId(h.message.run_id))!.loaded_at, null);

    await Deno.writeTextFile(h.message.processed_file, processed);
    assert.equal((await loadRun(h.message, h)).skipped, 1);
    assert.deepEqual(await counts(h), [5, 3, 2]);
  },
);

onEachEngine("counts that differ from the files are refused", async (engine) => {
  await using h = await pipeline(engine);
  await assert.rejects(
    loadRun({ ...h.message, valid_count: 4 }, h),
    /it has 3 records, but 4 were announced/,
  );
  assert.deepEqual(await counts(h), [5, 0, 0]);
});

onEachEngine("a missing file is a permanent failure", async (engine) => {
  await using h = await pipeline(engine);
  await Deno.remove(h.message.dlq_file);
  await assert.rejects(loadRun(h.message, h), PermanentError);
  assert.deepEqual(await counts(h), [5, 3, 0]);
});

onEachEngine(
  "a saver that is killed midway through a file leaves nothing of that file, and the next one resumes there",
  async (engine) => {
    await using h = await pipeline(engine, {}, 20_000);
    await using saver = startChild(`
    const { openStore } = await import(store + "../open.ts");
    const { LocalFiles } = await import(store + "../../files/local.ts");
    const { usersTables } = await import(store + "../../../tests/support/store.ts");
    const { loadRun } = await import(store + "../../../saver/load.ts");
    const message = ${JSON.stringify(h.message)};
    const opened = await openStore(${JSON.stringify(h.at)}, usersTables([]));
    await loadRun(message, {
      store: opened,
      files: new LocalFiles(${JSON.stringify(h.data)}),
      progress({ done }) {
        if (done < 30_000) return;
        console.log("half of the second file is written");
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // blocks for ever
      },
    });
  `);
    await saver.printed("half of the second file is written");
    await saver.kill();

    assert.deepEqual(await counts(h), [20_002, 0, 0]);
    assert.deepEqual(await h.store.records.page("processed_users", {}, { limit: 1 }), []);
    const detail = await loadRun(h.message, h);
    assert.deepEqual(detail, { records: 40_004, raw: 20_002, processed: 20_000, invalid: 2, skipped: 1 });
    assert.deepEqual(
      h.rows(
        "SELECT (SELECT count(*) FROM raw_users) AS raw, (SELECT count(*) FROM processed_users) AS processed",
      ),
      [{ raw: 20_002, processed: 20_000 }],
    );
  },
);
