/**
 * Checks the accessibility of a page with axe.
 *
 * @module
 */
import type { Page } from "puppeteer-core";

const AXE = await Deno.readTextFile(new URL("./axe.min.js", import.meta.resolve("axe-core/package.json")));

/** Returns the violations on the page, as `rule: element`. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
  });
}
