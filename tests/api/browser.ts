/**
 * A Chromium that can reach this machine alone, for tests of pages. The tests of a file share one; each page has a session of its own in it,
 * with nothing of the others' cookies, storage and cache.
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

/** A page, and what went wrong on it. */
export interface Tab {
  readonly page: Page;
  /** What the console and the page complained of, and requests that failed or went elsewhere. */
  readonly complaints: string[];
}

/** After how long what has to show or happen counts as not coming, in milliseconds: a bound for what failed, not for a page. */
export const PATIENCE_MS = 120_000;

/** Where the browser listens that pages are opened in. */
let endpoint: string | undefined;

/** Has the tests of this file share a browser; returns `Deno.test` for tests that use it. */
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

/** Starts the browser in which pages are opened until it is disposed of. */
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
    // its file DevToolsActivePort says the same, but may be written later
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

/** Opens a page in a session of its own, runs `work`, closes it. */
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

/** Keeps a picture of the page for people to look at, where the variable SCREENSHOTS names a folder. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = Deno.env.get("SCREENSHOTS");
  if (!folder) return;
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/${name}.png`, await page.screenshot({ fullPage: true }));
}

/** Waits until the page's text holds `text`. */
export async function shows(page: Page, text: string, timeout = PATIENCE_MS): Promise<void> {
  await page.waitForFunction((wanted) => document.body.innerText.replaceAll("\u00a0", " ").includes(wanted), {
    timeout,
  }, text)
    .catch(async () => {
      assert.fail(`The page never showed ${JSON.stringify(text)}, but ${await shownOn(page)}`);
    });
}

/** The beginning of the page's text, quoted. */
export async function shownOn(page: Page): Promise<string> {
  const text = await page.evaluate(() => document.body.innerText);
  return JSON.stringify(text.slice(0, 2000));
}
