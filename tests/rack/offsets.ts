/**
 * Sources with offsets.
 *
 * @module
 */
import { ALL, from, items, number, onceAt, type RackCase, status, unless, written } from "./case.ts";
import type { Answer } from "../support/paged_source.ts";

const BLIND = {
  records: "items",
  paging: { by: "offset", offset: "skip", limit: "limit", size: 10 },
} as const;
const OFFSET = { records: "items", paging: { ...BLIND.paging, total: "total" } } as const;
const header = (total: string) => ({ paging: { ...BLIND.paging, total: { header: total } } }) as const;

const offset: Answer = ({ url }) => items(from(number(url, "skip")), { total: 25 });
const at = (url: URL, skip: number) => number(url, "skip") === skip;
const once = (answer: () => Response) => onceAt(offset, ({ url }) => at(url, 10), answer);

/** Deletes the first `plan[n - 1]` records before request n is answered. */
const fallen = (plan: readonly number[]): () => Answer => () => {
  let all = ALL;
  return ({ url, nth }) => {
    all = all.slice(plan[nth - 1] ?? 0);
    const skip = number(url, "skip");
    return items(all.slice(skip, skip + 10), { total: all.length });
  };
};

/** In the order of the table. */
export const OFFSETS: readonly RackCase[] = [
  { name: "offset and total", seen: "DummyJSON /users", source: OFFSET, serve: () => offset },
  { name: "offset without a total", seen: "dlt #1530", source: BLIND, serve: () => offset },
  {
    name: "206 for each page, and a total in Content-Range",
    seen: "PostgREST count=exact",
    source: header("Content-Range"),
    serve: () => ({ url }) => {
      const page = from(number(url, "skip"));
      const range = `${number(url, "skip")}-${number(url, "skip") + page.length - 1}/25`;
      return Response.json(page, { status: 206, headers: { "content-range": range } });
    },
  },
  {
    name: "short pages: the server's own limit is below the requested one",
    seen: "Salesforce batchSize",
    source: BLIND,
    serve: () => ({ url }) => items(from(number(url, "skip"), 7)),
  },
  {
    name: "page size ignored: everything on the first page",
    seen: "JSON Server before 1.0",
    source: OFFSET,
    serve: () => () => items(ALL, { total: 25 }),
  },
  {
    name: "offset ignored",
    seen: "n8n #12272",
    source: OFFSET,
    serve: () => () => items(from(0), { total: 25 }),
    fails: "were all on earlier pages",
  },
  {
    name: "a total that falls once",
    seen: "Elasticsearch shard failures",
    source: OFFSET,
    serve: once(() => items([], { total: 0 })),
  },
  {
    name: "a total that falls and stays",
    seen: "OpenSearch index recreated while read",
    source: OFFSET,
    serve: () => unless(offset, ({ url }) => number(url, "skip") > 0 ? items([], { total: 0 }) : undefined),
    fails: "with a total of 0, though 25 were announced before",
  },
  {
    name: "total 0 though there are records",
    seen: "Jira Cloud, whose totals are estimates",
    source: OFFSET,
    serve: () => ({ url }) => items(from(number(url, "skip")), { total: 0 }),
    fails: "things, though total is 0",
  },
  {
    name: "a total that grows while records are added at the end",
    seen: "Shopify orders",
    source: OFFSET,
    serve: () => ({ url }) =>
      items(from(number(url, "skip")), { total: number(url, "skip") === 0 ? 18 : 25 }),
  },
  {
    name: "an empty page in the middle",
    seen: "GitHub search, which filters after paging",
    source: OFFSET,
    serve: () => unless(offset, ({ url }) => at(url, 10) ? items([], { total: 25 }) : undefined),
    fails: "no things, though 25 were announced",
  },
  {
    name: "500, then a correct page",
    seen: "pipeshub-ai #3095 (ServiceNow)",
    source: OFFSET,
    serve: once(() => status(500)),
  },
  {
    name: "429 with Retry-After, then a correct page",
    seen: "GitHub secondary rate limits",
    source: OFFSET,
    serve: once(() => status(429, { "retry-after": "0" })),
  },
  {
    name: "endless 500",
    seen: "pipeshub-ai #3095 (ServiceNow)",
    source: OFFSET,
    serve: () => unless(offset, ({ url }) => at(url, 10) ? status(500) : undefined),
    fails: "HTTP 500 (2 times)",
  },
  {
    name: "404 before the end",
    seen: "AWS ALB while targets are replaced",
    source: { ...OFFSET, empty: [404] },
    serve: () => unless(offset, ({ url }) => at(url, 20) ? status(404) : undefined),
    fails: "HTTP 404 with no things, though 25 were announced",
  },
  {
    name: "a record deleted while read: the others move to earlier pages",
    seen: "open-chat-studio #4565",
    source: OFFSET,
    serve: () => ({ url }) => {
      const skip = number(url, "skip");
      const now = ALL.slice(3);
      return skip === 0 ? items(from(0), { total: 25 }) : items(now.slice(skip, skip + 10), { total: 22 });
    },
  },
  {
    name: "records inserted in front while read",
    seen: "Reddit /new",
    source: OFFSET,
    serve: () => {
      const grown = [{ id: 91 }, { id: 92 }, ...ALL];
      return ({ url }) => {
        const skip = number(url, "skip");
        return skip === 0
          ? items(from(0), { total: 25 })
          : items(grown.slice(skip, skip + 10), { total: 27 });
      };
    },
  },
  {
    name: "a record on two pages",
    seen: "PostgREST without order",
    source: BLIND,
    serve: () => ({ url }) => {
      const twice = [...ALL.slice(0, 10), ALL[9]!, ...ALL.slice(10)];
      return items(twice.slice(number(url, "skip"), number(url, "skip") + 10));
    },
  },
  {
    name: "deletions while moved records are read again",
    seen: "open-chat-studio #4565",
    source: OFFSET,
    serve: fallen([0, 1, 1, 1, 1]),
    ledger: written(ALL.slice(4)),
    tries: 2,
    isHonest: false,
  },
  {
    name: "deletions that move the last records to pages already read",
    seen: "open-chat-studio #4565",
    source: OFFSET,
    serve: fallen([0, 0, 7]),
    ledger: written(ALL.slice(7)),
    tries: 2,
    isHonest: false,
  },
  {
    name: "another order for each page",
    seen: "datagouv api-tabular #122, khive #1671",
    source: { ...OFFSET, paging: { ...OFFSET.paging, size: 5 } },
    serve: () => ({ url }) => {
      const skip = number(url, "skip");
      return items(skip === 0 ? from(0, 5) : [...from(0, 4), ...from(skip, 1)], { total: 25 });
    },
    fails: "announced 25 things, and ",
  },
  {
    name: "a total only on the first page",
    seen: "dlt #1414",
    source: OFFSET,
    serve: () => ({ url }) => items(from(number(url, "skip")), at(url, 0) ? { total: 25 } : {}),
  },
  {
    name: "null for the total",
    seen: "dlt #4429",
    source: OFFSET,
    serve: () => ({ url }) => items(from(number(url, "skip")), { total: null }),
    fails: "total: wanted a whole number, found null",
  },
  {
    name: "a total as text",
    seen: "PHP PDO counts",
    source: OFFSET,
    serve: () => ({ url }) => items(from(number(url, "skip")), { total: "25" }),
  },
  {
    name: "a total in a header",
    seen: "WordPress X-WP-Total",
    source: header("X-WP-Total"),
    serve: () => ({ url }) => Response.json(from(number(url, "skip")), { headers: { "x-wp-total": "25" } }),
  },
  {
    name: "a missing header for the total",
    seen: "gitlab-ci-pipelines-exporter #340",
    source: header("X-Total"),
    serve: () => ({ url }) => Response.json(from(number(url, "skip"))),
    fails: "header X-Total: wanted a whole number, found nothing",
  },
  {
    name: "offsets beyond a limit are refused",
    seen: "iDigBio #18, HubSpot search (estuary connectors #1906)",
    source: OFFSET,
    serve: () => unless(offset, ({ url }) => number(url, "skip") >= 20 ? status(400) : undefined),
    fails: "HTTP 400 (2 times)",
  },
  {
    name: "offsets beyond a limit are empty",
    seen: "GitHub search beyond 1,000",
    source: OFFSET,
    serve: () =>
      unless(offset, ({ url }) => number(url, "skip") >= 20 ? items([], { total: 25 }) : undefined),
    fails: "no things, though 25 were announced",
  },
  {
    name: "the first page repeatedly, of records without a key",
    seen: "n8n #18841",
    source: BLIND,
    serve: () => () => items([{ a: 1 }, { a: 2 }]),
    fails: "it equals the page before",
  },
  {
    name: "401 in place of an empty list",
    seen: "airbyte #18537 (Iterable)",
    source: { ...OFFSET, empty: [404] },
    serve: () => unless(offset, ({ url }) => at(url, 20) ? status(401) : undefined),
    fails: "HTTP 401 (2 times)",
  },
  {
    name: "an error object in the middle",
    seen: "pipeshub-ai #2997 (Notion)",
    source: { ...OFFSET, error: "error" },
    serve: () =>
      unless(offset, ({ url }) => at(url, 10) ? Response.json({ error: "secret@example.org" }) : undefined),
    fails: "HTTP 200 with an error in its body",
  },
];
