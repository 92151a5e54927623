import assert from "node:assert/strict";
import { browsing, picture, shows } from "../api/browser.ts";
import { confirm, press, pressAt, startSite, type, visit } from "./site.ts";
import { HIDDEN_PATH, HIDDEN_QUERY, SECRET, startReceiver } from "../support/receiver.ts";

const test = browsing();

test("a run's page shows all of it, its address can be shared, and back and forward work", async () => {
  await using site = await startSite();
  const run = await site.pipeline.completed(await site.pipeline.tell());
  const file = site.pipeline.sql<{ sha256: string }>("SELECT sha256 FROM run_files LIMIT 1")[0]!;
  await visit(site, "/", async ({ page }) => {
    await press(page, String(run.id), "link");
    const texts = [
      `Run ${run.id}`,
      "extracting",
      "Not an object",
      "Line ",
      file.sha256,
      "/upload/manifest_",
      "read back",
    ];
    for (const text of [...texts, "No run corrects this one.", "The lookup has every value."]) {
      await shows(page, text);
    }
    assert.equal(new URL(page.url()).pathname, `/runs/${run.run_id}`);
    await picture(page, "run");
    await page.goBack();
    await shows(page, "Last runs");
    await page.goForward();
    await shows(page, "Delivery receipt");
    await page.goto(`${site.base}/runs/${run.id}`);
    await shows(page, "Delivery receipt");
    await page.goto(`${site.base}/runs/0196f7a0-0000-7000-8000-000000000000`);
    await shows(page, "This run does not exist.");
  });
});

test("a failed run shows its reason, and whether a new request can help", async () => {
  await using site = await startSite({ wrap: () => () => new Response("down", { status: 404 }) });
  const runId = await site.pipeline.tell();
  await site.pipeline.status("FAILED", runId);
  await visit(site, `/runs/${runId}`, async ({ page }) => {
    await shows(page, "Why it failed");
    await shows(page, "404");
    await picture(page, "run_failed");
  });
});

test("a dead message is shown with its reason, replayed, and discarded after a confirmation", async () => {
  await using site = await startSite();
  const { channel } = site.pipeline;
  const dead = () => channel.mailbox("channel:phase1_complete").state().then((state) => state.dead);
  await channel.publish({
    to: "channel:phase1_complete",
    id: "m1",
    body: '{"raw_file":"../etc/passwd"}',
  });
  await site.pipeline.until("a dead letter", async () => await dead() === 1);
  await visit(site, "/dead", async ({ page }) => {
    await shows(page, "channel:phase1_complete");
    await shows(page, "28 bytes");
    await pressAt(page, "summary");
    await shows(page, "../etc/passwd");
    await picture(page, "dead");
    await press(page, "Send again");
    await shows(page, "The message was sent again.");
    await site.pipeline.until("it is dead again", async () => await dead() === 1);
    await page.waitForSelector("article");
    await press(page, "Discard");
    await shows(page, "Discard this message?");
    await confirm(page);
    await shows(page, "There are no dead messages.");
    assert.equal(await dead(), 0);
  });
});

test("a query is part of the address, its rows appear in a table and a CSV file, and its errors on the page", async () => {
  await using site = await startSite();
  await site.pipeline.completed(await site.pipeline.tell());
  const query = "SELECT id, firstName, password FROM processed_users ORDER BY id LIMIT 2";
  await visit(site, `/sql?query=${encodeURIComponent(query)}`, async ({ page, complaints }) => {
    await shows(page, "2 rows in");
    await shows(page, "***");
    await picture(page, "sql");
    const csv = page.evaluate(() =>
      new Promise<string>((resolve) => {
        const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => {
          if (blob instanceof Blob) blob.text().then(resolve);
          return make.call(URL, blob);
        };
      })
    );
    await press(page, "Download CSV");
    const rows = site.pipeline.sql<{ id: number; firstName: string }>(query);
    const lines = rows.map(({ id, firstName }) => `${id},${firstName},***\r\n`).join("");
    assert.equal(await csv, `id,firstName,password\r\n${lines}`);
    await type(page, "Query", "SELECT nosuch FROM raw_users");
    await page.keyboard.down("Control");
    await page.keyboard.press("Enter");
    await page.keyboard.up("Control");
    await shows(page, "SQL error: no such column: nosuch");
    assert.equal(new URL(page.url()).searchParams.get("query"), "SELECT nosuch FROM raw_users");
    await page.goBack();
    await shows(page, "2 rows in");
    const other = complaints.filter((text) => !/status of 400/.test(text));
    complaints.splice(0, complaints.length, ...other);
  });
});

test("the notifications page shows which receiver got what, with the outcome, and sends a test", async () => {
  await using receiver = startReceiver();
  await using site = await startSite({ env: { NOTIFY_URL: receiver.url, NOTIFY_SECRET: SECRET } });
  await visit(site, "/notifications", async ({ page }) => {
    await shows(page, "Nothing was sent yet.");
    await press(page, "Send a test");
    await shows(page, "The test was requested");
    await shows(page, "HTTP 204");
    await shows(page, receiver.host);
    await shows(page, "notifications of the pipeline arrive here");
    await picture(page, "notifications");
    const html = await page.content();
    assert.ok(!html.includes(HIDDEN_PATH) && !html.includes(HIDDEN_QUERY), "its path is a secret");
  });
  assert.deepEqual(receiver.received.map(({ body }) => body.type), ["test"]);
  assert.deepEqual(receiver.complaints, []);
});
