import assert from "node:assert/strict";
import { CHANNELS } from "../shared/contracts/channels.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import * as faults from "../tests/support/faulty_source.ts";
import { expected, RAW_FILE, request, startPipeline } from "../tests/support/extraction.ts";

Deno.test("a run writes every page to one file and reports its content", async () => {
  await using pipeline = await startPipeline({ bad: 0.1 });
  const requested = request();
  const { message, detail, outputs, about, events } = await pipeline.handle(requested);
  const text = await pipeline.raw();
  assert.equal(text, await expected({ bad: 0.1 }));
  assert.deepEqual(pipeline.requested, [0, 100, 200]);
  assert.deepEqual([about, events], [requested.run_id, []]);
  const { bytes, sha256 } = await pipeline.files.facts(`${pipeline.data}/raw_users/${RAW_FILE}`);
  const completeness = { announced: 208, received: 208, missing: 0, repeated: 0 };
  assert.deepEqual(message, {
    run_id: requested.run_id,
    pipeline: "users",
    raw_file: `${pipeline.data}/raw_users/${RAW_FILE}`,
    record_count: 208,
    raw_sha256: sha256,
    source: pipeline.source,
    completeness,
  });
  const { raw_file } = message;
  assert.deepEqual(detail, {
    raw_file,
    records: 208,
    duplicates: 0,
    pages: 3,
    total: 208,
    ...completeness,
    page_sizes: [[2, 100], [1, 8]],
    paging: "offset",
    first_page: "skip=0",
    bytes,
    sha256,
  });
  assert.deepEqual([outputs.length, outputs[0]!.to], [1, "channel:phase1_complete"]);
  const schema = CHANNELS["channel:phase1_complete"].schema;
  assert.ok(schema.safeParse({ ...message, raw_file: "data/raw_users/x.jsonl" }).success);
  assert.deepEqual(await pipeline.rawFiles(), [RAW_FILE]);
});

Deno.test("on resume, the file is cut after the last saved page", async () => {
  let isFixed = false;
  await using pipeline = await startPipeline({
    wrap: faults.withFaults(({ skip }) => skip === 200 && !isFixed ? faults.status(500) : undefined),
  });
  const requested = request();
  await assert.rejects(pipeline.handle(requested), PermanentError);
  await Deno.writeTextFile(`${pipeline.data}/raw_users/${RAW_FILE}.part`, '{"id":201,"half a rec', {
    append: true,
  });
  isFixed = true;
  await pipeline.handle(requested);
  assert.equal(await pipeline.raw(), await expected());
});

Deno.test("a run whose .part file is missing, too short or damaged extracts from the beginning, and sets the rest aside", async () => {
  const damages: Record<string, (part: string) => Promise<void>> = {
    "missing": (part) => Deno.remove(part),
    "too short": (part) => Deno.truncate(part, 10),
    "damaged": async (part) => {
      using file = await Deno.open(part, { write: true });
      await file.write(new Uint8Array([0]));
    },
  };
  for (const [name, damage] of Object.entries(damages)) {
    let isFixed = false;
    await using pipeline = await startPipeline({
      wrap: faults.withFaults(({ skip }) => skip === 100 && !isFixed ? faults.status(500) : undefined),
    });
    const requested = request();
    await assert.rejects(pipeline.handle(requested), PermanentError);
    await damage(`${pipeline.data}/raw_users/${RAW_FILE}.part`);
    isFixed = true;
    const { message, detail } = await pipeline.handle(requested);
    assert.deepEqual([message.record_count, detail.resumed_from_skip], [208, undefined], name);
    assert.equal(await pipeline.raw(), await expected(), name);
    const [raw, ...aside] = await pipeline.rawFiles();
    assert.equal(raw, RAW_FILE);
    assert.equal(aside.length, name === "missing" ? 0 : 1, name);
    for (const file of aside) assert.match(file, /^records_.*\.jsonl\.part\.damaged-\d{8}_\d{6}$/);
  }
});

Deno.test("a source that returns fewer users than requested is read at its own page size", async () => {
  await using pipeline = await startPipeline({ wrap: faults.withFaults(() => faults.atMost(30)) });
  await pipeline.handle(request());
  assert.deepEqual(pipeline.requested, [0, 30, 60, 90, 120, 150, 180]);
  assert.equal(await pipeline.raw(), await expected());
});

Deno.test("users that moved to a later page are taken once, also if the run was resumed in between", async () => {
  let isFixed = false;
  await using pipeline = await startPipeline({
    wrap: faults.withFaults(({ skip }) => {
      if (skip === 200 && !isFixed) return faults.status(500);
      return skip > 0 ? faults.pageOf(skip - 5) : undefined;
    }),
  });
  const requested = request();
  await assert.rejects(pipeline.handle(requested), PermanentError);
  isFixed = true;
  const { detail } = await pipeline.handle(requested);
  assert.equal(await pipeline.raw(), await expected());
  assert.deepEqual([detail.records, detail.duplicates], [208, 5]);
});

Deno.test("users added in front that push known ones to an extra last page are no error", async () => {
  await using pipeline = await startPipeline({
    users: 200,
    wrap: faults.withFaults(({ skip }) => {
      if (skip === 0) return undefined;
      return async (request, answer) => await faults.totalOf(203)(request, await shifted(answer, skip));
    }),
  });
  function shifted(answer: (request: Request) => Response | Promise<Response>, skip: number) {
    return Promise.resolve((request: Request) => faults.pageOf(skip - 3)(request, answer));
  }
  const { detail } = await pipeline.handle(request());
  assert.deepEqual([detail.records, detail.duplicates, detail.total], [200, 3, 203]);
  assert.equal(await pipeline.raw(), await expected({ users: 200 }));
});

Deno.test("a growing source is read to its new end, a slightly shrinking one to its end, and the run reports what is missing", async () => {
  await using growing = await startPipeline({
    users: 350,
    wrap: faults.withFaults(({ skip }) => skip < 200 ? faults.totalOf(208) : undefined),
  });
  assert.equal((await growing.handle(request())).message.record_count, 350);
  assert.equal(await growing.raw(), await expected({ users: 350 }));
  await using shrinking = await startPipeline({
    users: 195,
    wrap: faults.withFaults(({ nth }) => nth === 1 ? faults.totalOf(208) : undefined),
  });
  const { announced, received, missing, repeated } = (await shrinking.handle(request())).detail;
  assert.deepEqual([announced, received, missing, repeated], [208, 303, 13, 108]);
  assert.deepEqual(
    shrinking.requested,
    [0, 100, 87, 187],
    "13 are gone, so 13 may have moved to the first page",
  );
  assert.equal(await shrinking.raw(), await expected({ users: 195 }));
  await using emptied = await startPipeline({
    users: 100,
    wrap: faults.withFaults(({ skip }) => skip < 100 ? faults.totalOf(208) : undefined),
  });
  await assert.rejects(
    emptied.handle(request()),
    /^BeginAgain: Cannot continue at page skip=100 of .*a total of 100, though 208 were announced before, and it stayed so\. 100 users had come/,
  );
});

Deno.test("a source without users gives an empty file", async () => {
  await using pipeline = await startPipeline({ users: 0 });
  assert.equal((await pipeline.handle(request())).message.record_count, 0);
  assert.equal(await pipeline.raw(), "");
});

Deno.test("a source that ignores skip is detected at its second page", async () => {
  await using pipeline = await startPipeline({ users: 200, wrap: faults.withFaults(() => faults.pageOf(0)) });
  await assert.rejects(pipeline.handle(request()), (error: unknown) => {
    assert.ok(error instanceof PermanentError);
    assert.match(
      error.message,
      /^Cannot continue at page skip=100 of .*: its 100 users were all on earlier pages/,
    );
    return true;
  });
});

Deno.test("an endless source is abandoned", async () => {
  await using pipeline = await startPipeline({
    users: 1_000_000,
    batchSize: 1_000,
    wrap: faults.withFaults(({ skip }) => faults.totalOf(skip + 1_500)),
  });
  await assert.rejects(pipeline.handle(request()), (error: unknown) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, /^Cannot reach the end of .*: it announced 1500 users, has given 14000/);
    return true;
  });
});

Deno.test("two runs in the same second get two files", async () => {
  await using pipeline = await startPipeline({ users: 3 });
  await pipeline.handle(request());
  const { message } = await pipeline.handle(request());
  assert.equal(message.raw_file, `${pipeline.data}/raw_users/records_20261124_030008.jsonl`);
});
