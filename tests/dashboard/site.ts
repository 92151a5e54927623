/// <reference lib="dom" />
/**
 * A dashboard in a browser: a whole pipeline with invalid records, and a Chromium that can reach only this
 * machine.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Page } from "puppeteer-core";
import { shownOn, withPage } from "../api/browser.ts";
import { startPipeline, type TestPipeline, type TestPipelineOptions } from "../support/test_pipeline.ts";

/** A pipeline with a running dashboard. */
export interface Site extends AsyncDisposable {
  readonly pipeline: TestPipeline;
  readonly base: string;
}

export async function startSite(options: TestPipelineOptions = {}): Promise<Site> {
  const env = { SQL_TIMEOUT_MS: "60000", ...options.env }; // a busy machine takes seconds to start a query
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

export interface Visit {
  readonly page: Page;
  /** Errors of the console, and requests to other machines. A test that causes errors removes those that it expects. */
  readonly complaints: string[];
}

/** Opens the dashboard in a separate session. Fails the test if any complaints remain at the end. */
export async function visit(site: Site, path: string, work: (visit: Visit) => Promise<void>): Promise<void> {
  await withPage(async ({ page, complaints }) => {
    await page.goto(site.base + path);
    await work({ page, complaints });
    // a live view that ends when its page is left isn't a failure
    const left = complaints.filter((text) => !/^failed: \S+\/graphql net::ERR_ABORTED$/.test(text));
    assert.deepEqual(left, []);
  });
}

/** Presses the element with this accessible name. */
export async function press(page: Page, name: string, role: "button" | "link" = "button"): Promise<void> {
  await pressAt(page, `aria/${name}[role="${role}"]`).catch(async (error) => {
    assert.fail(
      `The ${role} ${JSON.stringify(name)} could not be pressed (${error}) on ${await shownOn(page)}`,
    );
  });
}

/**
 * Presses the element that matches the selector, by the keyboard: a list that arrives moves what a mouse points at, on a
 * busy machine between its last look and its click.
 */
export async function pressAt(page: Page, selector: string): Promise<void> {
  const found = (await page.waitForSelector(selector, { visible: true }))!;
  await page.waitForFunction((element) => !element.matches(":disabled"), {}, found);
  await found.press("Enter");
}

/** Presses the open dialog's main button. */
export async function confirm(page: Page): Promise<void> {
  await pressAt(page, "dialog[open] button[type=submit]");
}

/** Replaces the content of the field with this label, or that matches the selector. */
export async function type(page: Page, field: string, text: string): Promise<void> {
  const found = await page.waitForSelector(/^[.#]/.test(field) ? field : `aria/${field}`, { visible: true });
  await found!.focus();
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.sendCharacter(text);
}
