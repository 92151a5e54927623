/** Self-contained pages: they load nothing from other hosts, and the content security policy forbids it. */
import { createHash } from "node:crypto";

interface PagePolicy {
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

/** The source expression of the inline script or style `text`. */
export function hashSource(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
