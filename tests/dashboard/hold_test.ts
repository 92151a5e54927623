import assert from "node:assert/strict";
import { browsing, picture, shows } from "../api/browser.ts";
import { changingSource } from "../support/changing_source.ts";
import { press, startSite, visit } from "./site.ts";

const test = browsing();

/** A dashboard with a loaded run of 208 users and a held run of 80, half of them invalid. */
async function heldSite() {
  const source = changingSource();
  const site = await startSite({ wrap: source.wrap });
  const first = await site.pipeline.completed(await site.pipeline.tell());
  source.has(80, 0.5);
  return { site, source, first, held: await site.pipeline.status("HELD", await site.pipeline.tell()) };
}

test("a held run shows its reason, with samples and the numbers of the run before, and is released by a person", async () => {
  const { site, held } = await heldSite();
  await using _site = site;
  await visit(site, "/", async ({ page }) => {
    await shows(page, "held");
    await press(page, String(held.id), "link");
    const texts = [
      "Held before the load",
      "it has 40 valid records, fewer than 50 % of the 208 of run 1",
      "Some of its invalid records",
      "age: ",
      "Run Held",
    ];
    for (const text of texts) await shows(page, text);
    await picture(page, "run_held");
    await press(page, "Release");
    await shows(page, `Release run ${held.id}?`);
    assert.equal(site.pipeline.runs()[0]!.status, "HELD", "nothing happens before the confirmation");
    await press(page, "Release");
    await shows(page, "The run is released.");
    await site.pipeline.completed(held.run_id);
    await shows(page, "Released by anonymous");
    await shows(page, "Delivery receipt");
  });
});

test("in a terminal a held run is shown with its reason, ends commands that follow it with 1, and is rejected or released", async () => {
  const { site, held, source } = await heldSite();
  await using _site = site;
  const { pipeline } = site;
  const id = String(held.id);
  assert.match((await pipeline.task("etl", "runs")).stdout, / HELD /);
  const shown = (await pipeline.task("etl", "show", id)).stdout;
  for (
    const text of [held.run_id, "fewer than 50 %", '"error_reason":', "***", `deno task etl release ${id}`]
  ) {
    assert.ok(shown.includes(text), `${text} in ${shown}`);
  }
  const watched = await pipeline.task("etl", "watch", id);
  assert.equal(watched.code, 1);
  assert.match(watched.stderr, /is HELD\. Held before its load: it has 40 valid records/);
  const unsure = await pipeline.task("etl", "reject", id);
  assert.equal(unsure.code, 1);
  assert.match(unsure.stderr, /Not confirmed/);
  const rejected = await pipeline.task("etl", "reject", id, "--yes");
  assert.equal(rejected.code, 0, rejected.stderr);
  assert.equal((await pipeline.status("FAILED", held.run_id)).failure_reason, "Rejected by anonymous.");
  const late = await pipeline.task("etl", "release", id);
  assert.equal(late.code, 1);
  assert.match(late.stderr, /was rejected by anonymous/);

  source.has(90);
  const again = await pipeline.task("etl", "start", "--watch");
  assert.equal(again.code, 1, again.stdout);
  assert.equal((await pipeline.task("etl", "release", "latest")).code, 0);
  assert.equal((await pipeline.completed(pipeline.runs()[0]!.run_id)).valid_count, 90);
});
