/**
 * A Chromium that can reach only this machine, for tests of pages. The tests of a file share one browser;
 * each page has a separate session, without the cookies, storage and cache of the others.
 *
 * ```ts
 * const test = browsing();
 * test("the page greets", () => withPage(async ({ page, complaints }) => { ... }));
 * ```
 *
 * @module
 */
import assert from "node:assert/strict";
import puppeteer, { type Page } from "puppeteer-core";
import { needing, placeOf, used } from "../support/needs.ts";
import { linesOf } from "../support/output.ts";

/** A page and the errors on it. */
export interface Tab {
  readonly page: Page;
  /** Errors of the console and the page, and requests that failed or left this machine. */
  readonly complaints: string[];
}

/** How long tests wait for the page to change, in milliseconds. A limit for failures, not a measure of the page. */
export const PATIENCE_MS = 120_000;

/** The WebSocket address of the shared browser. */
let endpoint: string | undefined;

/** Starts a browser for the tests of this file; returns `Deno.test` for tests that use it. */
export function browsing(): ReturnType<typeof needing> {
  let browser: AsyncDisposable | undefined;
  Deno.test.beforeAll(async () => {
    if (placeOf("chromium") !== undefined) browser = await openBrowser();
  });
  Deno.test.afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
  });
  return needing("chromium");
}

/** Starts the shared browser, which runs until it is disposed of. */
export async function openBrowser(): Promise<AsyncDisposable> {
  used("chromium");
  const userDataDir = await Deno.makeTempDir({ prefix: "browser-" });
  const process = new Deno.Command(placeOf("chromium")!, {
    args: await puppeteer.defaultArgs({
      userDataDir,
      args: [
        "--remote-debugging-port=0",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
      ],
    }),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log: string[] = [];
  for await (const line of linesOf(process.stderr)) {
    log.push(line);
    // the file DevToolsActivePort says the same, but the browser may write it later
    endpoint = /^DevTools listening on (ws:\S+)$/.exec(line)?.[1];
    if (endpoint !== undefined) break;
  }
  if (endpoint === undefined) {
    await process.status;
    await Deno.remove(userDataDir, { recursive: true });
    throw new Error(`chromium ended before it was ready:\n${log.join("\n")}`);
  }
  return {
    async [Symbol.asyncDispose]() {
      const browser = await puppeteer.connect({ browserWSEndpoint: endpoint! });
      endpoint = undefined;
      await browser.close();
      await process.status;
      await Deno.remove(userDataDir, { recursive: true });
    },
  };
}

/** Opens a page in a separate session, runs `work`, and closes the page. */
export async function withPage(work: (tab: Tab) => Promise<void>): Promise<void> {
  if (endpoint === undefined) throw new Error("No browser is open: see browsing().");
  const browser = await puppeteer.connect({ browserWSEndpoint: endpoint });
  const session = await browser.createBrowserContext();
  try {
    const page = await session.newPage();
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
    await session.close();
    await browser.disconnect();
  }
}

/** Saves a screenshot where the variable SCREENSHOTS names a folder. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = Deno.env.get("SCREENSHOTS");
  if (!folder) return;
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/${name}.png`, await page.screenshot({ fullPage: true }));
}

/** Waits until the page's text contains `text`. */
export async function shows(page: Page, text: string, timeout = PATIENCE_MS): Promise<void> {
  await page.waitForFunction((wanted) => document.body.innerText.replaceAll("\u00a0", " ").includes(wanted), {
    timeout,
  }, text)
    .catch(async () => {
      assert.fail(`The page never showed ${JSON.stringify(text)}, but ${await shownOn(page)}`);
    });
}

/** Returns the beginning of the page's text, quoted. */
export async function shownOn(page: Page): Promise<string> {
  const text = await page.evaluate(() => document.body.innerText);
  return JSON.stringify(text.slice(0, 2000));
}
