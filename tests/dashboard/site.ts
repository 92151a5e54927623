/// <reference lib="dom" />
/**
 * A dashboard to use as a person would: a whole pipeline with bad records, and a Chromium that reaches this machine alone.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Page } from "puppeteer-core";
import { shownOn, withPage } from "../api/browser.ts";
import { startPipeline, type TestPipeline, type TestPipelineOptions } from "../support/test_pipeline.ts";

/** A pipeline whose dashboard is up. */
export interface Site extends AsyncDisposable {
  readonly pipeline: TestPipeline;
  readonly base: string;
}

export async function startSite(options: TestPipelineOptions = {}): Promise<Site> {
  const env = { SQL_TIMEOUT_MS: "60000", ...options.env }; // a busy machine takes seconds to begin a query
  const pipeline = await startPipeline({ users: 60, bad: 0.5, ...options, env });
  try {
    await pipeline.start("extractor", "transformer", "saver");
    const [line] = (await pipeline.begin("api").line(/^.*"message":"ready".*$/))!;
    const { port } = (JSON.parse(line) as { properties: { port: number } }).properties;
    pipeline.env.API_PORT = String(port);
    return {
      pipeline,
      base: `http://127.0.0.1:${port}`,
      [Symbol.asyncDispose]: () => pipeline[Symbol.asyncDispose](),
    };
  } catch (error) {
    await pipeline[Symbol.asyncDispose]();
    throw error;
  }
}

/** What a visit is like. */
export interface Visit {
  readonly page: Page;
  /** What the console complained of, and requests to elsewhere; a test that makes trouble takes out what it expects. */
  readonly complaints: string[];
}

/** Opens the dashboard in a session of its own. Whatever the console complains of in the end fails the test. */
export async function visit(site: Site, path: string, work: (visit: Visit) => Promise<void>): Promise<void> {
  await withPage(async ({ page, complaints }) => {
    await page.goto(site.base + path);
    await work({ page, complaints });
    // a live view that ends as its page is left is no failure
    const left = complaints.filter((text) => !/^failed: \S+\/graphql net::ERR_ABORTED$/.test(text));
    assert.deepEqual(left, []);
  });
}

/** Presses what a reader of the screen knows by this name. */
export async function press(page: Page, name: string, role: "button" | "link" = "button"): Promise<void> {
  await page.locator(`aria/${name}[role="${role}"]`).click().catch(async (error) => {
    assert.fail(
      `The ${role} ${JSON.stringify(name)} could not be pressed (${error}) on ${await shownOn(page)}`,
    );
  });
}

/** Writes into the field of this name, or that fits the selector, in place of all that it holds. */
export async function type(page: Page, field: string, text: string): Promise<void> {
  const found = await page.waitForSelector(/^[.#]/.test(field) ? field : `aria/${field}`);
  await found!.focus();
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.sendCharacter(text);
}
