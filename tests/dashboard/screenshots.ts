/**
 * `deno task screenshots`: takes the README's pictures of a real, working pipeline and writes them to
 * `docs/images/`.
 *
 * @module
 */
import { programPath } from "../../cli/services.ts";
import { openBrowser, shows } from "../api/browser.ts";
import { press, startSite, type, visit } from "./site.ts";

const save = async (name: string, png: Uint8Array) => {
  await Deno.mkdir(programPath("docs/images"), { recursive: true });
  await Deno.writeFile(programPath(`docs/images/${name}.png`), png);
};

if (import.meta.main) {
  // as at a growing source, each run finds more users than the one before
  let users = 160;
  const slow = { ms: 0 };
  await using _browser = await openBrowser();
  await using site = await startSite({
    users: 5000,
    bad: 0.08,
    wrap: (answer) => async (request) => {
      await new Promise((resolve) => setTimeout(resolve, slow.ms));
      const page = await (await answer(request)).json() as { users: unknown[]; skip: number };
      const left = page.users.slice(0, Math.max(0, users - page.skip));
      return Response.json({ ...page, users: left, total: users, limit: left.length });
    },
  });
  const runs = [];
  for (; runs.length < 12; users += 20 + 37 * (runs.length % 4)) {
    runs.push(await site.pipeline.completed(await site.pipeline.tell()));
  }
  const reason = encodeURIComponent("company.department: missing");
  await visit(site, `/runs/${runs.at(-1)!.run_id}/invalid?reason=${reason}`, async ({ page }) => {
    await page.setViewport({ width: 1280, height: 860, deviceScaleFactor: 1 });
    await type(page, "Value", "Legal");
    await press(page, "Set in all records");
    await shows(page, "records. Check or replay them below.");
    await press(page, "Check");
    await shows(page, "Checked:");
    await save("repair", await page.screenshot());
  });
  await visit(site, "/", async ({ page }) => {
    await page.setViewport({ width: 1280, height: 1060, deviceScaleFactor: 1 });
    slow.ms = 700;
    await press(page, "Start run");
    await shows(page, "300 / ");
    await press(page, "Close");
    await save("dashboard", await page.screenshot());
    slow.ms = 0;
    await shows(page, "Nothing is running.", 30_000);
  });
}
