/** `X-Total-Count`, and `Link` to the next and the previous page if they exist. */
export function pageHeaders(
  url: string,
  { limit, offset, total }: { limit: number; offset: number; total: number },
): Record<string, string> {
  const links: string[] = [];
  const add = (rel: string, at: number) => {
    const page = new URL(url);
    page.searchParams.set("limit", String(limit));
    page.searchParams.set("offset", String(at));
    links.push(`<${page.href}>; rel="${rel}"`);
  };
  if (offset + limit < total) add("next", offset + limit);
  if (offset > 0) add("prev", Math.max(0, offset - limit));
  return { "x-total-count": String(total), ...(links.length === 0 ? {} : { link: links.join(", ") }) };
}
