/**
 * Small replicas of public APIs after their documentation: their paging, their names, and their additional
 * fields.
 *
 * @module
 */

/** Returns the response of a replica. */
export type Replica = (request: { url: URL; headers: Headers }) => Response;

const COUNT = 57;
const day = (at: number) => new Date(Date.UTC(2026, 0, 1 + at)).toISOString().replace(".000", "");
const list = <T>(make: (at: number) => T): T[] => Array.from({ length: COUNT }, (_, at) => make(at));
const number = (url: URL, name: string, otherwise: number, most = Infinity) =>
  Math.min(Number(url.searchParams.get(name) ?? otherwise), most);
const json = (body: unknown, headers: HeadersInit = {}) => Response.json(body, { headers });
const link = (url: URL, change: Record<string, string | number>) => {
  const next = new URL(url);
  for (const [name, value] of Object.entries(change)) next.searchParams.set(name, String(value));
  return next.href;
};

const issues = list((at) => ({
  id: 3_000_000_000 + at,
  number: at + 1,
  title: `Issue ${at}`,
  state: at % 3 ? "open" : "closed",
  user: { login: `dev${at % 7}`, id: at % 7 },
  labels: [{ id: 1, name: "bug" }],
  body: at % 4 ? "text" : null,
  created_at: day(at),
  updated_at: day(at + 1),
}));

/**
 * The header Link with page numbers:
 * https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api
 */
export const github: Replica = ({ url }) => {
  const size = number(url, "per_page", 30, 100), page = number(url, "page", 1);
  const hasNext = page * size < COUNT;
  const last = Math.ceil(COUNT / size);
  const header = `<${link(url, { page: page + 1 })}>; rel="next", <${link(url, { page: last })}>; rel="last"`;
  return json(issues.slice((page - 1) * size, page * size), hasNext ? { link: header } : {});
};

const charges = list((at) => ({
  id: `ch_${String(at).padStart(4, "0")}`,
  object: "charge",
  amount: 100 * at,
  currency: "usd",
  paid: at % 9 > 0,
  created: 1_767_225_600 + at,
  billing_details: { email: `payer${at}@example.org`, name: `Payer ${at}`, phone: null },
}));

/** The last id, and `has_more`: https://docs.stripe.com/api/pagination */
export const stripe: Replica = ({ url, headers }) => {
  if (headers.get("authorization") !== "Bearer sk_test") return Response.json({ error: {} }, { status: 401 });
  const size = number(url, "limit", 10, 100), after = url.searchParams.get("starting_after");
  const from = after === null ? 0 : charges.findIndex(({ id }) => id === after) + 1;
  if (after !== null && from === 0) return Response.json({ error: {} }, { status: 400 });
  const data = charges.slice(from, from + size);
  return json({ object: "list", url: url.pathname, has_more: from + size < COUNT, data });
};

const works = list((at) => ({
  DOI: `10.5555/${at}`,
  type: "journal-article",
  title: [`Work ${at}`],
  indexed: { "date-time": day(at) },
}));

/** A cursor that begins with `*` and never ends: https://api.crossref.org/swagger-ui */
export const crossref: Replica = ({ url }) => {
  const rows = number(url, "rows", 20, 1000), cursor = url.searchParams.get("cursor");
  const from = cursor === null ? number(url, "offset", 0) : cursor === "*" ? 0 : Number(atob(cursor));
  if (Number.isNaN(from)) return Response.json({ status: "failed" }, { status: 400 });
  const message = {
    "total-results": COUNT,
    items: works.slice(from, from + rows),
    "items-per-page": rows,
    ...cursor === null ? {} : { "next-cursor": btoa(String(Math.min(from + rows, COUNT))) },
  };
  return json({ status: "ok", "message-type": "work-list", message });
};

const documents = list((at) => ({
  document_number: `2026-${String(at).padStart(5, "0")}`,
  title: `Document ${at}`,
  type: "Notice",
  publication_date: day(at).slice(0, 10),
  html_url: `https://www.federalregister.gov/d/${at}`,
  abstract: at % 2 ? null : "text",
  agencies: [{ raw_name: "AGENCY" }],
}));

/** The next page's address in the body: https://www.federalregister.gov/developers/documentation/api/v1 */
export const federalRegister: Replica = ({ url }) => {
  const size = number(url, "per_page", 20, 1000), page = number(url, "page", 1);
  return json({
    count: COUNT,
    description: "All Documents",
    total_pages: Math.ceil(COUNT / size),
    ...page * size < COUNT ? { next_page_url: link(url, { page: page + 1 }) } : {},
    results: documents.slice((page - 1) * size, page * size),
  });
};

const posts = list((at) => ({
  id: at + 1,
  date: day(at).slice(0, 19),
  slug: `post-${at}`,
  status: "publish",
  title: { rendered: "x" },
  author: 1,
}));

/** Headers `X-WP-Total`, `X-WP-TotalPages`: https://developer.wordpress.org/rest-api/using-the-rest-api/pagination/ */
export const wordpress: Replica = ({ url }) => {
  const size = number(url, "per_page", 10, 100), page = number(url, "page", 1);
  const pages = Math.ceil(COUNT / size);
  if (page > pages) return Response.json({ code: "rest_post_invalid_page_number" }, { status: 400 });
  return json(posts.slice((page - 1) * size, page * size), {
    "x-wp-total": `${COUNT}`,
    "x-wp-totalpages": `${pages}`,
  });
};

const orders = list((at) => ({
  id: 450_789_469 + at,
  email: `buyer${at}@example.org`,
  total_price: "1.00",
  created_at: day(at),
  updated_at: day(at + 2),
}));

/** The header Link with an opaque `page_info`: https://shopify.dev/docs/api/admin-rest/usage/pagination */
export const shopify: Replica = ({ url, headers }) => {
  if (headers.get("x-shopify-access-token") !== "shpat") {
    return Response.json({ errors: "" }, { status: 401 });
  }
  const size = number(url, "limit", 50, 250), info = url.searchParams.get("page_info");
  const from = info === null ? 0 : Number(atob(info));
  const next = `<${url.origin}${url.pathname}?limit=${size}&page_info=${btoa(`${from + size}`)}>; rel="next"`;
  return json({ orders: orders.slice(from, from + size) }, from + size < COUNT ? { link: next } : {});
};

const people = list((at) => ({
  object: "user",
  id: crypto.randomUUID(),
  type: "person",
  name: `Person ${at}`,
  person: { email: `p${at}@example.org` },
}));

/** `next_cursor` and `start_cursor`: https://developers.notion.com/reference/intro#pagination */
export const notion: Replica = ({ url }) => {
  const size = number(url, "page_size", 100, 100), cursor = url.searchParams.get("start_cursor");
  const from = cursor === null ? 0 : people.findIndex(({ id }) => id === cursor);
  if (from < 0) return Response.json({ code: "validation_error" }, { status: 400 });
  const next = people[from + size]?.id ?? null;
  return json({
    object: "list",
    results: people.slice(from, from + size),
    next_cursor: next,
    has_more: next !== null,
    type: "user",
  });
};

const products = list((at) => ({
  ID: at + 1,
  Name: `Product ${at}`,
  ReleaseDate: day(at),
  Rating: at % 5,
  Price: at + 0.5,
}));

/** `@odata.nextLink`: https://docs.oasis-open.org/odata/odata/v4.01/ */
export const odata: Replica = ({ url }) => {
  const skip = number(url, "$skiptoken", number(url, "$skip", 0)),
    top = number(url, "$top", COUNT),
    size = Math.min(top, 20);
  const next = link(url, { "$skiptoken": skip + size });
  return json({
    "@odata.context": `${url.origin}/$metadata#Products`,
    value: products.slice(skip, skip + size),
    ...skip + size < COUNT && top > size ? { "@odata.nextLink": next } : {},
  });
};

const articles = list((at) => ({
  type: "articles",
  id: String(at + 1),
  attributes: { title: `A ${at}`, updated: day(at) },
}));

/** `links.next`: https://jsonapi.org/format/#fetching-pagination */
export const jsonApi: Replica = ({ url }) => {
  const size = number(url, "page[size]", 15), page = number(url, "page[number]", 1);
  return json({
    links: { self: url.href, next: page * size < COUNT ? link(url, { "page[number]": page + 1 }) : null },
    meta: { total: COUNT },
    data: articles.slice((page - 1) * size, page * size),
  });
};

const contacts = list((at) => ({
  id: String(500 + at),
  properties: { email: `c${at}@example.org`, firstname: "A", lastmodifieddate: day(at) },
  createdAt: day(at),
  updatedAt: day(at),
  archived: false,
}));

/** `paging.next.after` beside a link: https://developers.hubspot.com/docs/api/crm/contacts */
export const hubspot: Replica = ({ url }) => {
  const size = number(url, "limit", 10, 100), from = number(url, "after", 0);
  const after = String(from + size);
  return json({
    results: contacts.slice(from, from + size),
    ...from + size < COUNT ? { paging: { next: { after, link: link(url, { after }) } } } : {},
  });
};

const pokemon = list((at) => ({ name: `mon-${at}`, url: `https://pokeapi.co/api/v2/pokemon/${at + 1}/` }));

/** `next` with the whole address: https://pokeapi.co/docs/v2 */
export const pokeApi: Replica = ({ url }) => {
  const limit = number(url, "limit", 20), offset = number(url, "offset", 0);
  const next = offset + limit < COUNT ? link(url, { limit, offset: offset + limit }) : null;
  return json({ count: COUNT, next, previous: null, results: pokemon.slice(offset, offset + limit) });
};

const tickets = list((at) => ({
  id: String(10_000 + at),
  key: `ETL-${at}`,
  fields: { summary: `S ${at}`, updated: day(at), assignee: null },
}));

/** `startAt`, `maxResults`, `total`: https://developer.atlassian.com/cloud/jira/platform/rest/v2/intro/#pagination */
export const jira: Replica = ({ url }) => {
  const maxResults = number(url, "maxResults", 50, 100), startAt = number(url, "startAt", 0);
  return json({
    expand: "names",
    startAt,
    maxResults,
    total: COUNT,
    issues: tickets.slice(startAt, startAt + maxResults),
  });
};

/** 206, and `Content-Range` with the total if it is requested: https://docs.postgrest.org/en/stable/references/api/pagination_count.html */
export const postgrest: Replica = ({ url, headers }) => {
  const skip = number(url, "offset", 0), page = rows.slice(skip, skip + number(url, "limit", COUNT));
  const total = headers.get("prefer") === "count=exact" ? COUNT : "*";
  if (skip > 0 && skip >= Number(total)) return new Response("{}", { status: 416 });
  const status = page.length < Number(total) ? 206 : 200;
  const range = page.length === 0 ? "*" : `${skip}-${skip + page.length - 1}`;
  return Response.json(page, { status, headers: { "content-range": `${range}/${total}` } });
};

/** Records of `numbered` sources that announce little, or announce it wrong. */
export const rows: readonly { id: number; name: string }[] = list((at) => ({
  id: at + 1,
  name: `Row ${at}`,
}));

/** The number of records of each replica. */
export const RECORDS = COUNT;
