import assert from "node:assert/strict";
import * as faults from "../support/faulty_source.ts";
import { browsing, shows } from "../api/browser.ts";
import { startSite, visit } from "./site.ts";

const test = browsing();

const COMPLETENESS = { announced: 208, received: 303, missing: 13, repeated: 108 };

test("records that a source announced and never returned appear in the run, its manifest, the metrics, the terminal and the dashboard", async () => {
  // 13 users are deleted while the source is read
  const wrap = faults.withFaults(({ nth }) => nth === 1 ? faults.totalOf(208) : undefined);
  await using site = await startSite({ users: 195, bad: 0, wrap });
  const { pipeline, base } = site;
  const run = await pipeline.completed(await pipeline.tell());
  assert.deepEqual(JSON.parse(run.completeness!), COMPLETENESS);
  const manifest = (await pipeline.remoteFiles()).find((name) => name.startsWith("manifest_"))!;
  const text = await Deno.readTextFile(`${pipeline.site!.disk}/${manifest}`);
  assert.deepEqual(JSON.parse(text).completeness, COMPLETENESS);
  const { text: line } = await pipeline.logged(
    /fewer records came than the source had announced/,
    "extractor",
  );
  assert.match(line, /"level":"WARN".*"missing":13/);

  const metrics = await (await fetch(`${base}/metrics`)).text();
  for (const [outcome, count] of Object.entries(COMPLETENESS)) {
    const metric = `etl_last_run_records{outcome="${outcome}",pipeline="users"} ${count}`;
    assert.ok(metrics.includes(metric), metric);
  }
  const { stdout } = await pipeline.task("etl", "show", "latest");
  assert.match(stdout, /\nAnnounced 208, received 303, missing 13, repeated 108\n/);
  await visit(site, `/runs/${run.run_id}`, async ({ page }) => {
    for (const text of ["Announced", "208", "303", "108", "announced 13 more than came"]) {
      await shows(page, text);
    }
  });
});

Deno.test("a run left unfinished too long ago isn't resumed: the next one reads the source from its beginning, and reports why", async () => {
  let isDown = true;
  const wrap = faults.withFaults(({ skip }) => isDown && skip === 100 ? faults.status(500) : undefined);
  const env = { MAX_RETRIES: "0", RESUME_MAX_AGE_HOURS: "2" };
  await using site = await startSite({ users: 208, bad: 0, wrap, env });
  const { pipeline } = site;
  const failed = await pipeline.status("FAILED", await pipeline.tell());
  const path = `${pipeline.folder}/data/state/extractor_state.json`;
  const state = JSON.parse(await Deno.readTextFile(path));
  assert.equal(state.current.last_skip, 100);
  state.current.started_at = new Date(Date.now() - 2.1 * 3_600_000).toISOString();
  await Deno.writeTextFile(path, JSON.stringify(state));
  isDown = false;
  const run = await pipeline.completed(await pipeline.tell());
  assert.notEqual(run.run_id, failed.run_id);
  assert.deepEqual([run.valid_count, (await pipeline.partFiles()).length], [208, 0]);
  const why = new RegExp(
    `Run ${failed.run_id} of .*, unfinished at record 100, is not resumed: it began more than 2 h ago`,
  );
  await pipeline.logged(why, "extractor");
  assert.match((await pipeline.task("etl", "show", "latest")).stdout, why);
});
