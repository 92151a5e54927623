/**
 * A Chromium that can reach this machine alone, for tests of pages.
 *
 * @module
 */
import assert from "node:assert/strict";
import { placeOf, used } from "../support/needs.ts";
import puppeteer, { type Page } from "puppeteer-core";

/** A page, and what went wrong on it. */
export interface Tab {
  readonly page: Page;
  /** What the console and the page complained of, and requests that failed or went elsewhere. */
  readonly complaints: string[];
}

/** After how long what has to show or happen counts as not coming, in milliseconds: a bound for what failed, not for a page. */
export const PATIENCE_MS = 60_000;

/** Opens Chromium with one page, runs `work`, closes it. */
export async function withBrowser(work: (tab: Tab) => Promise<void>): Promise<void> {
  used("chromium");
  const profile = await Deno.makeTempDir();
  const browser = await puppeteer.launch({
    executablePath: placeOf("chromium"),
    userDataDir: profile,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    ],
  });
  try {
    const page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 800 });
    page.setDefaultTimeout(PATIENCE_MS);
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (["error", "warn"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on(
      "requestfailed",
      (request) => complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`),
    );
    page.on("request", (request) => {
      const { hostname, protocol } = new URL(request.url());
      if (protocol.startsWith("http") && !["127.0.0.1", "localhost"].includes(hostname)) {
        complaints.push(`elsewhere: ${request.url()}`);
      }
    });
    await work({ page, complaints });
  } finally {
    await browser.close();
    await Deno.remove(profile, { recursive: true });
  }
}

/** Waits until the page's text holds `text`. */
export async function shows(page: Page, text: string, timeout = PATIENCE_MS): Promise<void> {
  await page.waitForFunction((wanted) => document.body.innerText.replaceAll("\u00a0", " ").includes(wanted), {
    timeout,
  }, text)
    .catch(async () => {
      const shown = await page.evaluate(() => document.body.innerText);
      assert.fail(
        `The page never showed ${JSON.stringify(text)}, but ${JSON.stringify(shown.slice(0, 2000))}`,
      );
    });
}
