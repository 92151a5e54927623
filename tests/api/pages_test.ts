import assert from "node:assert/strict";
import { listen } from "../../api/server.ts";
import { fillRun, openApi, user } from "../support/api.ts";
import { browsing, picture, shows, withPage } from "./browser.ts";

const test = browsing();

const LOCAL = { hostname: "127.0.0.1", port: 0 };
const TOKEN = "a-token-that-is-long";

test("GraphiQL works without internet: its first query runs and shows runs, without an error in the browser", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store, { valid: [user(1)] });
  const server = await listen(pipeline.app, LOCAL);
  try {
    await withPage(async ({ page, complaints }) => {
      await page.goto(`http://127.0.0.1:${server.port}/graphql`);
      await shows(page, "LatestRuns");
      await run(page, "LatestRuns");
      await shows(page, '"validCount": 1');
      await shows(page, '"name": "extractor"');
      await picture(page, "graphiql");
      assert.deepEqual(complaints, []);
    });
  } finally {
    await server.close(1000);
  }
});

test("with a token set, a browser signs in once, and GraphiQL sends it from then on", async () => {
  await using pipeline = await openApi({ API_TOKEN: TOKEN });
  await fillRun(pipeline.store, { valid: [user(1)] });
  const server = await listen(pipeline.app, LOCAL);
  try {
    await withPage(async ({ page, complaints }) => {
      await page.goto(`http://127.0.0.1:${server.port}/graphql`);
      await shows(page, "requires a token");
      await page.type("#token", "wrong");
      await page.locator("button").click();
      await shows(page, "The token is wrong.");
      await page.$eval("#token", (input) => (input as HTMLInputElement).value = "");
      await page.type("#token", TOKEN);
      await page.locator("button").click();
      await shows(page, "LatestRuns");
      await run(page, "LatestRuns");
      await shows(page, '"validCount": 1');
      // the console reports only the 401 responses to the page and to the wrong token
      assert.deepEqual(complaints.filter((text) => !/status of 401/.test(text)), []);
    });
  } finally {
    await server.close(1000);
  }
});

test("Swagger UI works without internet, including a request that it sends", async () => {
  await using pipeline = await openApi();
  await fillRun(pipeline.store, { valid: [user(1)] });
  const server = await listen(pipeline.app, LOCAL);
  try {
    await withPage(async ({ page, complaints }) => {
      await page.goto(`http://127.0.0.1:${server.port}/docs`);
      await shows(page, "Runs that reached the load, newest first");
      await page.locator("#operations-default-get_etl_runs .opblock-summary-control").click();
      await page.waitForSelector(".try-out__btn");
      await page.locator(".try-out__btn").click();
      await page.waitForSelector(".execute");
      await page.locator(".execute").click();
      await shows(page, "etl_20261124_030007.jsonl");
      await picture(page, "swagger");
      assert.deepEqual(complaints, []);
    });
  } finally {
    await server.close(1000);
  }
});

test("the original's front end, on another origin, reads runs, query answers and errors with axios", async () => {
  const axios = await Deno.readFile(
    new URL("./dist/axios.min.js", import.meta.resolve("axios/package.json")),
  );
  await using front = Deno.serve(
    { ...LOCAL, onListen: () => {} },
    ({ url }) =>
      url.endsWith(".js")
        ? new Response(axios, { headers: { "content-type": "text/javascript" } })
        : new Response('<!doctype html><link rel="icon" href="data:,"><script src="/axios.js"></script>', {
          headers: { "content-type": "text/html" },
        }),
  );
  await using pipeline = await openApi({ CORS_ORIGINS: `http://localhost:${front.addr.port}` });
  await fillRun(pipeline.store, { valid: [user(1)] });
  const server = await listen(pipeline.app, LOCAL);
  try {
    await withPage(async ({ page }) => {
      await page.goto(`http://localhost:${front.addr.port}/`);
      const seen = await page.evaluate(async (api) => {
        // deno-lint-ignore no-explicit-any -- axios is a script of the page
        const { axios } = globalThis as any;
        const runs = await axios.get(`${api}/etl_runs`);
        const rows = await axios.post(`${api}/query_sql`, { query: "SELECT id FROM raw_users" });
        // deno-lint-ignore no-explicit-any -- axios throws any shape
        const failed = await axios.post(`${api}/query_sql`, { query: "DROP TABLE x" }).catch((error: any) =>
          error
        );
        return {
          runs: runs.data,
          total: runs.headers["x-total-count"],
          rows: rows.data,
          status: failed.response.status,
          detail: failed.response.data.detail,
        };
      }, `http://127.0.0.1:${server.port}`);
      assert.equal(seen.runs.length, 1);
      assert.deepEqual(Object.keys(seen.runs[0]), [
        "id",
        "run_timestamp",
        "processed_file",
        "valid_count",
        "invalid_count",
      ]);
      assert.equal(seen.total, "1");
      assert.deepEqual(seen.rows, { columns: ["id"], rows: [{ id: 1 }] });
      assert.deepEqual([seen.status, seen.detail], [400, "Only SELECT querys are allowed."]);
    });
  } finally {
    await server.close(1000);
  }
});

/** Runs the operation with this name from the menu of the run button. */
async function run(page: import("puppeteer-core").Page, operation: string): Promise<void> {
  await page.locator(".graphiql-execute-button").click();
  await page.waitForSelector('[role="menuitem"]');
  for (const item of await page.$$('[role="menuitem"]')) {
    if (await item.evaluate((element) => element.textContent) === operation) return await item.click();
  }
  assert.fail(`No operation ${operation} to run.`);
}
