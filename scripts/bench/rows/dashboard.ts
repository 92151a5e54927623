/// <reference lib="dom" />
import { withBrowser } from "../../../tests/api/browser.ts";
import { spreadOf } from "../measure.ts";
import type { Row } from "../row.ts";
import { fillRuns, RUNS } from "./api.ts";

/** The dashboard in Chromium, over an API with 100,000 runs in its database: from the page's request to the first list of runs on it. */
export const dashboard: Row = {
  name: "dashboard",
  async *measure(environment) {
    await using stage = environment.stage();
    await fillRuns(stage, RUNS);
    const program = await stage.start("api");
    const port: number = JSON.parse(program.ready.input!).properties.port;
    const figures: number[] = [];
    await withBrowser(async ({ page }) => {
      for (let turn = 0; turn < environment.scale.turns; turn++) {
        // the script is fetched anew each time, as by somebody who comes for the first time
        await page.setCacheEnabled(false);
        await page.goto(`http://127.0.0.1:${port}/`, { waitUntil: "domcontentloaded" });
        await page.waitForSelector("tbody tr");
        figures.push(await page.evaluate(() => performance.now()));
      }
    });
    yield {
      what: `dashboard with ${RUNS.toLocaleString("en")} runs, to the first list of runs`,
      figure: spreadOf(figures),
      unit: "ms",
      target: { atMost: 1000 },
      note: "without the browser's cache",
    };
  },
};
