/** Self-contained pages: nothing is loaded from elsewhere, and the content security policy forbids it. */
import { createHash } from "node:crypto";

export interface PagePolicy {
  /** Script sources, such as `'self'`. Default none. */
  readonly script?: string;
  readonly style?: string;
  /** Further directives, such as `worker-src blob:`. */
  readonly more?: readonly string[];
}

/** The content security policy of a page. */
export function pagePolicy({ script = "'none'", style = "'none'", more = [] }: PagePolicy): string {
  return [
    "default-src 'none'",
    `script-src ${script}`,
    `style-src ${style}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    ...more,
  ].join("; ");
}

/** How a policy names the inline script or style `text`. */
export function hashSource(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/** A small page of ours; its style and script are allowed by their hashes. */
export function page(
  { title, body, script, status = 200, headers = {} }: {
    title: string;
    body: string;
    script?: string;
    status?: number;
    headers?: Record<string, string>;
  },
): Response {
  const policy = pagePolicy({
    style: hashSource(STYLE),
    ...(script === undefined ? {} : { script: hashSource(script) }),
    more: ["img-src data:"],
  });
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
${body}
${script === undefined ? "" : `<script>${script}</script>`}
</body>
</html>
`;
  return new Response(html, {
    status,
    headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": policy, ...headers },
  });
}

const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
li { margin: .5rem 0; }
input, button { font: inherit; padding: .4rem .6rem; }
[role=alert] { color: #c00; }
`;
