import assert from "node:assert/strict";
import { browsing, picture, shows } from "../api/browser.ts";
import { confirm, press, startSite, type, visit } from "./site.ts";

const test = browsing();

const LAST_RUNS = '[aria-label="Last runs"]';

test("a first run is started, followed live to its end, and appears in table and chart without a reload", async () => {
  await using site = await startSite({ delayMs: 500, env: { BATCH_SIZE: "10", API_PORT: "0" } });
  await visit(site, "/", async ({ page }) => {
    await shows(page, "No runs yet");
    await shows(page, "Nothing is running.");
    await page.evaluate(() => Object.assign(globalThis, { stillHere: true }));
    await picture(page, "dashboard_empty");
    await press(page, "Start run");
    await shows(page, "The run was requested.");
    await shows(page, "/ 60 records");
    await picture(page, "dashboard_running");
    await shows(page, "completed");
    await shows(page, "delivered");
    await shows(page, "Nothing is running.");
    const row = await page.$eval(`${LAST_RUNS} tbody tr`, (row) => (row as HTMLElement).innerText);
    assert.match(row, /completed\s+30\s+30/);
    await page.waitForSelector('[role="img"] canvas');
    assert.ok(await page.evaluate(() => "stillHere" in globalThis));
    await picture(page, "dashboard_done");
  });
});

test("actors are paused and resumed, runs are delivered again, and a refusal is shown as the API words it", async (t) => {
  await using site = await startSite();
  const run = await site.pipeline.completed(await site.pipeline.tell());
  await t.step(
    "an actor is paused after a confirmation; Escape does nothing",
    () =>
      visit(site, "/", async ({ page }) => {
        await press(page, "Pause transformer");
        await shows(page, "Pause transformer?");
        await page.keyboard.press("Escape");
        await page.waitForSelector("dialog:not([open])");
        const paused = () =>
          site.pipeline.channel.mailbox("channel:phase1_complete").state().then((state) => state.paused);
        assert.equal(await paused(), false);
        await press(page, "Pause transformer");
        await shows(page, "Pause transformer?");
        await picture(page, "dashboard_question");
        await confirm(page);
        await shows(page, "transformer is paused.");
        await page.waitForSelector('aria/Resume transformer[role="button"]');
        assert.equal(await paused(), true);
        await press(page, "Resume transformer");
        await shows(page, "transformer is taking messages again.");
        assert.equal(await paused(), false);
      }),
  );

  await t.step(
    "a loaded run is delivered once more after a confirmation",
    () =>
      visit(site, "/", async ({ page }) => {
        await press(page, `Redeliver run ${run.id}`);
        await shows(page, `Deliver the files of run ${run.id} again?`);
        await confirm(page);
        await shows(page, "The delivery was requested.");
        await site.pipeline.until(
          "a second delivery",
          () =>
            site.pipeline.events(run.run_id).filter(({ type, ...event }) =>
              type === "phase_completed" && "phase" in event && event.phase === "DELIVERING"
            ).length > 1,
        );
      }),
  );

  await site.pipeline.kill("extractor");
  await t.step("a refusal of the API is shown in its own words", () =>
    visit(site, "/", async ({ page }) => {
      await press(page, "Start run");
      await shows(page, "The run was requested.");
      await press(page, "Start run");
      await shows(page, "Cannot start a run: another one waits for the extractor");
      await picture(page, "dashboard_refused");
    }));
});

test("an unreachable API is reported, and the page reconnects when it is back", async () => {
  await using site = await startSite();
  await visit(site, "/", async ({ page, complaints }) => {
    await shows(page, "No runs yet");
    await site.pipeline.stop("api");
    await shows(page, "Connection lost. Reconnecting …");
    await picture(page, "dashboard_reconnecting");
    await press(page, "Dead messages", "link");
    await shows(page, "This could not be loaded.");
    await shows(page, "Cannot reach the API");
    await picture(page, "dead_unreachable");
    await press(page, "Try again");
    await shows(page, "This could not be loaded.");
    const run = await site.pipeline.completed(await site.pipeline.tell());
    await site.pipeline.start("api");
    await page.waitForFunction(() => !document.body.innerText.includes("Reconnecting"));
    await shows(page, "There are no dead messages.");
    await press(page, "Runs", "link");
    await page.waitForSelector(`a[href="/runs/${run.run_id}"]`);
    const expected = /ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE|CONNECTION_RESET)/;
    const other = complaints.filter((text) => !expected.test(text));
    complaints.splice(0, complaints.length, ...other);
  });
});

test("with a token set, a page whose session has ended asks for it and continues in place", async () => {
  const API_TOKEN = "a-token-that-is-long";
  await using site = await startSite({ env: { API_TOKEN } });
  const run = await site.pipeline.completed(await site.pipeline.tell());
  await visit(site, `/runs/${run.run_id}`, async ({ page, complaints }) => {
    await shows(page, "requires a token");
    await page.type("#token", API_TOKEN);
    await page.locator("button").click();
    await shows(page, "Delivery receipt");
    // the live view's requests have to finish before the session ends
    await page.waitForNetworkIdle({ concurrency: 1, idleTime: 500 });
    const cookies = await page.browserContext().cookies();
    await page.browserContext().deleteCookie(...cookies);
    await press(page, `Redeliver run ${run.id}`);
    await confirm(page);
    await shows(page, "This API requires a token");
    await picture(page, "sign_in");
    await type(page, "Token", "wrong");
    await press(page, "Sign in");
    await shows(page, "The token is wrong.");
    await type(page, "Token", API_TOKEN);
    await press(page, "Sign in");
    await shows(page, "Delivery receipt");
    assert.equal(new URL(page.url()).pathname, `/runs/${run.run_id}`);
    const other = complaints.filter((text) => !/status of 401/.test(text));
    complaints.splice(0, complaints.length, ...other);
  });
});
