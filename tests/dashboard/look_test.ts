import assert from "node:assert/strict";
import { browsing, picture, shows } from "../api/browser.ts";
import { violations } from "./axe.ts";
import { press, startSite, visit } from "./site.ts";
import { SECRET, startReceiver } from "../support/receiver.ts";

const test = browsing();

test("every page is accessible in light and dark, fits 360 px, and has both languages", async (t) => {
  await using receiver = startReceiver();
  const env = { NOTIFY_URL: receiver.url, NOTIFY_SECRET: SECRET };
  await using site = await startSite({ users: 40, bad: 0.5, env });
  const run = await site.pipeline.completed(await site.pipeline.tell());
  await site.pipeline.channel.publish({ to: "channel:phase1_complete", id: "m1", body: "{}" });
  assert.equal((await site.pipeline.task("etl", "notify", "--test")).code, 0);
  const pages = [
    { name: "dashboard", path: "/", en: "Last runs", es: "Últimas ejecuciones" },
    { name: "run", path: `/runs/${run.run_id}`, en: "Delivery receipt", es: "Comprobante de entrega" },
    {
      name: "repair",
      path: `/runs/${run.run_id}/invalid`,
      en: "The whole record",
      es: "El registro completo",
    },
    { name: "dead", path: "/dead", en: "Send again", es: "Volver a enviar" },
    { name: "notifications", path: "/notifications", en: "arrive here", es: "Últimos avisos" },
    { name: "sql", path: "/sql?query=SELECT%20id%20FROM%20raw_users", en: "40 rows", es: "40 filas" },
  ];
  for (const { name, path, en, es } of pages) {
    await t.step(name, () =>
      visit(site, "/healthz", async ({ page }) => {
        for (const [scheme, width] of [["light", 1280], ["dark", 360]] as const) {
          await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
          await page.setViewport({ width, height: 800 });
          await page.goto(site.base + path);
          await shows(page, en);
          await picture(page, `${name}_${scheme}_${width}`);
          assert.deepEqual(await violations(page), [], `${name} ${scheme}`);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= width, `${name} is ${wide} px wide`);
        }
        await page.setExtraHTTPHeaders({ "accept-language": "es-ES,es;q=0.9" });
        await page.goto(site.base + path);
        await shows(page, es);
        assert.equal(await page.$eval("html", (root) => root.lang), "es");
        await picture(page, `${name}_es`);
      }));
  }

  await t.step(
    "the language and colour switches stay over pages and reloads",
    () =>
      visit(site, "/", async ({ page }) => {
        await shows(page, "Last runs");
        await page.select('select[aria-label="Language"]', "es");
        await shows(page, "Últimas ejecuciones");
        await page.select('select[aria-label="Tema"]', "dark");
        await press(page, "Mensajes fallidos", "link");
        await page.reload();
        await shows(page, "Volver a enviar");
        const { lang, dataset: { theme } } = await page.$eval(
          "html",
          (root) => ({ lang: root.lang, dataset: { ...root.dataset } }),
        );
        assert.deepEqual([lang, theme], ["es", "dark"]);
      }),
  );

  await t.step("a run is started with only the keyboard", () =>
    visit(site, "/", async ({ page }) => {
      await shows(page, "Last runs");
      const focused = () => page.evaluate(() => document.activeElement?.textContent);
      for (let presses = 0; await focused() !== "Start run"; presses++) {
        assert.ok(presses < 20, "the tab key never comes to it");
        await page.keyboard.press("Tab");
      }
      await page.keyboard.press("Enter");
      await shows(page, "The run was requested.");
    }));
});
