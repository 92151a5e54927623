import assert from "node:assert/strict";
import type { Page } from "puppeteer-core";
import { browsing, picture, shows } from "../api/browser.ts";
import { confirm, press, pressAt, type Site, startSite, type, visit } from "./site.ts";

const test = browsing();

interface Raw {
  readonly id: number;
  readonly password: string;
  readonly age: number;
  readonly company: { readonly department: string } | null;
}

/** Returns the correction run's raw records from its file, unmasked. */
async function correctedRecords({ pipeline }: Site, runId: string): Promise<Raw[]> {
  const run = pipeline.runs().find((run) => run.run_id === runId)!;
  return (await pipeline.lines(run.raw_file!)).map((line) => JSON.parse(line));
}

/** Presses Replay, confirms, and waits until the correction run ends; returns its id. */
async function replay(page: Page): Promise<string> {
  await press(page, "Replay");
  await confirm(page);
  await shows(page, "The correction run was requested.");
  await page.waitForFunction(
    () => document.querySelector('[aria-label="Correction run"]')?.textContent?.includes("completed"),
  );
  const href = await page.$eval('[aria-label="Correction run"] a', (link) => link.getAttribute("href"));
  return href!.slice("/runs/".length);
}

test("invalid records are repaired by form, by JSON, by text and in bulk, and become valid", async (t) => {
  await using site = await startSite({ users: 120, bad: 0.5 });
  const run = await site.pipeline.completed(await site.pipeline.tell());
  const good = /^\{.*\}$/;
  const original = (await site.pipeline.lines(run.raw_file!)).filter((line) => good.test(line))
    .map((line) => JSON.parse(line) as Raw);
  const path = `/runs/${run.run_id}/invalid`;

  await t.step(
    "the form shows the found and the expected value, and typed text survives a reload",
    () =>
      visit(site, `${path}?reason=${encodeURIComponent("age: greater than 65")}`, async ({ page }) => {
        await shows(page, "expected: a number from 18 to 65");
        const [first] = await page.$$(".record");
        const age = (await first!.$('input[id$=" age"]'))!;
        const before = await age.evaluate((input) => input.value);
        assert.ok(Number(before) > 65, before);
        assert.equal(await age.evaluate((input) => input.getAttribute("aria-invalid")), "true");
        await age.evaluate((input) => input.select());
        await age.type("42");
        await shows(page, "1 changed");
        await shows(page, "will be valid");
        await picture(page, "repair_form");
        await page.reload();
        await shows(page, "1 changed");
        await page.waitForSelector('.record input[id$=" age"]');
        assert.equal(
          await page.$eval('.record input[id$=" age"]', (input) => (input as HTMLInputElement).value),
          "42",
        );

        await press(page, "Check");
        await shows(page, "Checked: 1 valid, 0 still invalid.");
        const runId = await replay(page);
        const [repaired] = await correctedRecords(site, runId);
        const raw = original.find(({ id }) => id === repaired!.id)!;
        assert.deepEqual(repaired, { ...raw, age: 42 });
        assert.notEqual(repaired!.password, "***");
        await shows(page, "corrected in run");
        await shows(page, "No changes yet.");
        await picture(page, "repair_done");
      }),
  );

  await t.step(
    "one department is set in all records of a reason; masked fields stay unchanged",
    () =>
      visit(site, `${path}?reason=${encodeURIComponent("company.department: missing")}`, async ({ page }) => {
        await type(page, "Value", "Legal");
        await press(page, "Set in all records");
        await shows(page, "records. Check or replay them below.");
        await picture(page, "repair_bulk");
        await press(page, "Check");
        await shows(page, "Checked:");
        await picture(page, "repair_checked");
        const runId = await replay(page);
        const repaired = await correctedRecords(site, runId);
        assert.ok(repaired.length > 1);
        for (const record of repaired) {
          assert.equal(record.company?.department, "Legal");
          const raw = original.find(({ id }) => id === record.id)!;
          assert.equal(record.password, raw.password);
        }
      }),
  );

  await t.step(
    "a correction that completes leaves an open editor open",
    () =>
      visit(site, `${path}?reason=${encodeURIComponent("age: less than 18")}`, async ({ page }) => {
        await pressAt(page, ".record summary");
        const age = (await page.$$('.record input[id$=" age"]'))[1]!;
        await age.evaluate((input) => (input as HTMLInputElement).select());
        await age.type("42");
        await shows(page, "1 changed");
        await replay(page);
        await shows(page, "corrected in run");
        const areOpen = await page.$$eval(".record details", (all) => all.map(({ open }) => open));
        assert.deepEqual(areOpen.slice(0, 2), [true, false]);
      }),
  );

  await t.step(
    "other fields are changed as JSON; a moved placeholder is refused, and so is invalid JSON",
    () =>
      visit(site, `${path}?reason=${encodeURIComponent("age: less than 18")}`, async ({ page }) => {
        await pressAt(page, ".record summary");
        const area = (await page.waitForSelector(".record textarea"))!;
        const text = await area.evaluate((element) => element.value);
        assert.match(text, /"password": "\*\*\*"/);
        const put = (changed: string) => type(page, ".record textarea", changed);
        await put(`${text.slice(0, -1)}`);
        await shows(page, "This is not a valid JSON object yet.");
        await put(text.replace(/"firstName": "[^"]*"/, '"firstName": "***"'));
        await shows(page, 'it would write the placeholder "***" of a masked field');
        await press(page, "Check");
        await shows(page, "Cannot correct record");
        await put(
          text.replace(/"age": [\d.]+/, '"age": 33').replace(/"firstName": "[^"]*"/, '"firstName": "Zoë"'),
        );
        await shows(page, "will be valid");
        assert.equal(
          await page.$eval('.record input[id$=" age"]', (input) => (input as HTMLInputElement).value),
          "33",
        );
        await picture(page, "repair_json");
        const [repaired] = await correctedRecords(site, await replay(page));
        const raw = original.find(({ id }) => id === repaired!.id)!;
        assert.deepEqual(repaired, { ...raw, age: 33, firstName: "Zoë" });
      }),
  );

  await t.step(
    "a line that wasn't a record is replaced, as text",
    () =>
      visit(site, `${path}?reason=Not%20an%20object`, async ({ page }) => {
        const whole = {
          id: 9001,
          firstName: "Ana",
          email: "ana@example.com",
          age: 30,
          company: { department: "Sales" },
        };
        await page.waitForSelector(".record textarea");
        await type(page, ".record textarea", "[1, 2]");
        await shows(page, "still invalid: Not an object");
        await type(page, ".record textarea", JSON.stringify(whole));
        await shows(page, "will be valid");
        await picture(page, "repair_text");
        assert.deepEqual(await correctedRecords(site, await replay(page)), [whole]);
      }),
  );

  await t.step(
    "changes are discarded one by one, or all after a confirmation",
    () =>
      visit(site, `${path}?reason=${encodeURIComponent("firstName: empty")}`, async ({ page }) => {
        await type(page, "Value", "Eva");
        await press(page, "Set in all records");
        await page.waitForSelector(".changed");
        const count = (await page.$$(".changed")).length;
        await press(page, "Discard changes");
        await page.waitForFunction(
          (less) => document.querySelectorAll(".changed").length === less,
          {},
          count - 1,
        );
        await press(page, "Discard all");
        await confirm(page);
        await shows(page, "No changes yet.");
        assert.equal(await page.evaluate(() => localStorage.length), 0);
      }),
  );
});
