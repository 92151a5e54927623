/// <reference lib="dom" />
import assert from "node:assert/strict";
import { browsing, picture, shows } from "../api/browser.ts";
import { confirm, press, startSite, visit } from "./site.ts";

const test = browsing();

/** Returns the texts of a table's cells by row. */
function rowsOf(label: string): string[][] {
  const rows = document.querySelectorAll<HTMLTableRowElement>(`[aria-label="${label}"] tbody tr`);
  return [...rows].map((row) => [...row.cells].map((cell) => cell.innerText));
}

test("pipelines are listed and started, their runs filtered, and invalid records repaired by their own rules", async (t) => {
  await using site = await startSite({
    users: 30,
    bad: 0.1,
    furnish: async (folder) => {
      await Deno.mkdir(`${folder}/definitions`);
      for (const name of ["users.ts", "products.ts", "departments.csv"]) {
        await Deno.copyFile(
          new URL(`../../pipelines/${name}`, import.meta.url),
          `${folder}/definitions/${name}`,
        );
      }
      await Deno.writeTextFile(`${folder}/definitions/orders.ts`, "export default 1;\n");
    },
    env: { PIPELINES_DIR: "definitions" },
  });
  const { pipeline } = site;
  await pipeline.completed(await pipeline.tell("users"));

  await t.step(
    "each shows its last run and its health, and has its own start button",
    () =>
      visit(site, "/", async ({ page }) => {
        await shows(page, "out of service");
        await press(page, "Start run of products");
        await shows(page, "The run was requested.");
        await page.waitForFunction(
          () =>
            [...document.querySelectorAll('[aria-label="Pipelines"] tbody tr')].some((row) =>
              /^products.*completed/.test(row.textContent)
            ),
        );
        const rows = await page.evaluate(rowsOf, "Pipelines");
        assert.deepEqual(rows.map(([name, , status]) => [name!.split("\n")[0], status]), [
          ["orders", "out of service"],
          ["products", "completed"],
          ["users", "completed"],
        ]);
        const names = async () => (await page.evaluate(rowsOf, "Last runs")).map((row) => row[1]);
        assert.deepEqual(await names(), ["products", "users"]);
        await picture(page, "pipelines");
        await page.select("select:has(option[value=''])", "users");
        await page.waitForFunction(
          () => document.querySelectorAll('[aria-label="Last runs"] tbody tr').length === 1,
        );
      }),
  );

  await t.step(
    "a form has a choice if the rules list values, and the API judges the chosen one",
    async () => {
      const run = pipeline.runs().find((run) => run.pipeline === "products")!;
      const reason = 'availabilityStatus: not one of "In Stock", "Low Stock", "Out of Stock"';
      await visit(
        site,
        `/runs/${run.run_id}/invalid?reason=${encodeURIComponent(reason)}`,
        async ({ page }) => {
          const field = '.record select[id$=" availabilityStatus"]';
          await page.waitForSelector(`${field}[aria-invalid="true"]`);
          assert.deepEqual(
            await page.$eval(
              field,
              (select) => [...(select as HTMLSelectElement).options].map(({ value }) => value),
            ),
            ["Gone", "In Stock", "Low Stock", "Out of Stock"],
          );
          await page.select(field, "Low Stock");
          await shows(page, "will be valid");
          await picture(page, "pipelines_repair");
          await press(page, "Replay");
          await confirm(page);
          await page.waitForFunction(
            () => document.querySelector('[aria-label="Correction run"]')?.textContent?.includes("completed"),
          );
        },
      );
      const [correction] = pipeline.runs();
      assert.deepEqual([correction!.pipeline, correction!.valid_count], ["products", 1]);
    },
  );

  await t.step(
    "the SQL page begins with a query that works with the pipeline's tables",
    () =>
      visit(site, "/sql", async ({ page }) => {
        await page.waitForFunction(() => document.querySelector("textarea")!.value !== "");
        await press(page, "Run query");
        await shows(page, "rows");
        await shows(page, "raw_products, processed_products, invalid_products");
      }),
  );
});
