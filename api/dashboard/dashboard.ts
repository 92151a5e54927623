/** The dashboard's pages, for browsers: one small page at each address, which the script of `web/` fills. */
import { createHash } from "node:crypto";
import type { Context } from "hono";
import { getCookie } from "hono/cookie";
import { parseAccept } from "hono/utils/accept";
import type { ApiApp, Env } from "../http/env.ts";
import { pagePolicy } from "../http/pages.ts";

/** Languages of the dashboard; the first one is the default. */
const LANGUAGES = ["en", "es"];
const THEMES = ["light", "dark"];

const ASSETS = {
  "app.js": "text/javascript; charset=utf-8",
  "app.css": "text/css; charset=utf-8",
  "icon.svg": "image/svg+xml",
} as const;
type Asset = keyof typeof ASSETS;

const POLICY = pagePolicy({
  script: "'self'",
  style: "'self'",
  more: ["img-src 'self'", "require-trusted-types-for 'script'"],
});

/** Adds the pages except `/`, and the files that they load. */
export function addDashboard(app: ApiApp): void {
  const paths = [
    "/runs/:run",
    "/runs/:run/invalid",
    "/records",
    "/record",
    "/dead",
    "/notifications",
    "/sql",
  ];
  for (const path of paths) app.get(path, dashboardPage);
  for (const [name, type] of Object.entries(ASSETS)) {
    app.get(`/dashboard/${name}`, async (c) =>
      c.body((await asset(name as Asset)).bytes, 200, {
        "content-type": type,
        // the address changes with the content
        "cache-control": "private, max-age=31536000, immutable",
      }));
  }
}

/** The page. The switches keep its language and theme in cookies; the default is the browser's preference. */
export async function dashboardPage(c: Context<Env>): Promise<Response> {
  const { lang, theme: shown } = getCookie(c);
  const language = LANGUAGES.find((one) => one === lang) ?? languageOf(c.req.header("accept-language"));
  const theme = THEMES.find((one) => one === shown);
  const [script, style, icon] = await Promise.all([asset("app.js"), asset("app.css"), asset("icon.svg")]);
  const html = `<!doctype html>
<html lang="${language}"${theme === undefined ? "" : ` data-theme="${theme}"`}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ETL pipeline</title>
<link rel="icon" href="${icon.href}" type="image/svg+xml">
<link rel="stylesheet" href="${style.href}">
<script src="${script.href}" type="module"></script>
</head>
<body>
<noscript>This page needs JavaScript. <a href="/graphql">GraphiQL</a> does too; <a href="/etl_runs">the runs as JSON</a> don't.</noscript>
</body>
</html>
`;
  return new Response(html, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": POLICY,
      vary: "Accept, Accept-Language, Cookie",
    },
  });
}

/** The language that fits the header best, such as `es-MX,es;q=0.9,en;q=0.8`. */
export function languageOf(header = ""): string {
  const wanted = parseAccept(header).filter(({ q }) => q > 0)
    .map(({ type }) => type.toLowerCase().split("-")[0]!);
  return wanted.find((language) => LANGUAGES.includes(language)) ?? LANGUAGES[0]!;
}

/** A file of the page, and its address. */
interface Loaded {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly href: string;
}

const loaded = new Map<Asset, Promise<Loaded>>();

function asset(name: Asset): Promise<Loaded> {
  const known = loaded.get(name) ?? load(name);
  loaded.set(name, known);
  return known;
}

async function load(name: Asset): Promise<Loaded> {
  const bytes = await Deno.readFile(new URL(`static/${name}`, import.meta.url));
  const version = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  return { bytes, href: `/dashboard/${name}?v=${version}` };
}
