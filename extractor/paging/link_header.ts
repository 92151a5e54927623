/** The header `Link` (RFC 8288). */

interface HeaderLink {
  /** As written; may be relative. */
  readonly target: string;
  /** In lower case. */
  readonly rels: readonly string[];
}

const LINK = /\s*<([^>]*)>((?:\s*;\s*[^\s=;,"]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)\s*(?:,|$)/y;
const PARAM = /;\s*([^\s=;,"]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/g;

/**
 * The links of `header`, in order; undefined if it can't be parsed. A link with an `anchor` is skipped, as it describes
 * another resource.
 */
export function linksIn(header: string): HeaderLink[] | undefined {
  const links: HeaderLink[] = [];
  LINK.lastIndex = 0;
  while (LINK.lastIndex < header.length) {
    const comma = /\s*,/y; // a list may contain empty elements
    comma.lastIndex = LINK.lastIndex;
    if (comma.test(header)) {
      LINK.lastIndex = comma.lastIndex;
      continue;
    }
    const found = LINK.exec(header);
    if (found === null) return undefined;
    const [, target, text] = found;
    const params = new Map<string, string>();
    for (const [, name, quoted, token] of text!.matchAll(PARAM)) {
      const key = name!.toLowerCase();
      if (!params.has(key)) params.set(key, quoted?.replace(/\\(.)/g, "$1") ?? token ?? ""); // the first one counts
    }
    if (!params.has("anchor")) {
      const rels = (params.get("rel") ?? "").replace(/^'(.*)'$/, "$1").toLowerCase().split(/\s+/).filter((
        rel,
      ) => rel !== "");
      links.push({ target: target!.trim(), rels });
    }
  }
  return links;
}
