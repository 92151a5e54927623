import assert from "node:assert/strict";
import { join } from "node:path";
import type { AnyPaging } from "../../extractor/paging/mod.ts";
import {
  draftRows,
  ENV,
  extracted,
  json,
  loaded,
  number,
  readEnv,
  serve,
  signal,
} from "../../tests/support/drafts.ts";
import { freePort } from "../../tests/support/free_port.ts";
import * as replicas from "../../tests/support/replicas.ts";
import { RECORDS, type Replica, rows } from "../../tests/support/replicas.ts";
import { programPath } from "../services.ts";
import { draft } from "./new.ts";

interface Case {
  readonly replica: Replica;
  readonly path: string;
  readonly header?: string;
  readonly paging: AnyPaging;
  readonly key: string;
  readonly mask?: string;
  /** Matches the text of the definition. */
  readonly has?: RegExp;
}

const CASES: Record<string, Case> = {
  github: {
    replica: replicas.github,
    path: "/repos/denoland/deno/issues?state=all",
    paging: { by: "link-header" },
    key: "id",
    has:
      /updated_at: z\.iso\.datetime\(.*[\s\S]*query: \{ state: "all" \}[\s\S]*since: \{ field: "updated_at"/,
  },
  stripe: {
    replica: replicas.stripe,
    path: "/v1/charges",
    header: "Authorization: Bearer $STRIPE_KEY",
    paging: { by: "last", param: "starting_after", field: "id", more: "has_more" } as AnyPaging,
    key: "id",
    mask: "billing_details.email,billing_details.name",
    has: /auth: \{ bearer: secret\("STRIPE_KEY"\) \}/,
  },
  crossref: {
    replica: replicas.crossref,
    path: "/works",
    paging: {
      by: "cursor",
      param: "cursor",
      first: "*",
      next: "message.next-cursor",
      total: "message.total-results",
    },
    key: "DOI",
  },
  federal_register: {
    replica: replicas.federalRegister,
    path: "/api/v1/documents.json",
    paging: { by: "link", next: "next_page_url", total: "count" },
    key: "document_number",
    has: /publication_date: z\.iso\.date\(\)[\s\S]*abstract: z\.string\(\)\.nullable\(\)/,
  },
  wordpress: {
    replica: replicas.wordpress,
    path: "/wp-json/wp/v2/posts",
    paging: { by: "page", page: "page", size: ["per_page", 100], pages: { header: "x-wp-totalpages" } },
    key: "id",
  },
  shopify: {
    replica: replicas.shopify,
    path: "/admin/api/2026-01/orders.json",
    header: "X-Shopify-Access-Token: $SHOP_TOKEN",
    paging: { by: "link-header" },
    key: "id",
    mask: "email",
  },
  notion: {
    replica: replicas.notion,
    path: "/v1/people",
    paging: { by: "cursor", param: "start_cursor", next: "next_cursor", more: "has_more" },
    key: "id",
    mask: "person.email",
  },
  odata: {
    replica: replicas.odata,
    path: "/Products",
    paging: { by: "link", next: "@odata.nextLink" },
    key: "ID",
  },
  json_api: {
    replica: replicas.jsonApi,
    path: "/articles",
    paging: { by: "link", next: "links.next", total: "meta.total" },
    key: "id",
  },
  hubspot: {
    replica: replicas.hubspot,
    path: "/crm/v3/objects/contacts",
    paging: { by: "link", next: "paging.next.link" },
    key: "id",
  },
  pokeapi: {
    replica: replicas.pokeApi,
    path: "/api/v2/pokemon",
    paging: { by: "link", next: "next", total: "count" },
    key: "name",
  },
  postgrest: {
    replica: replicas.postgrest,
    path: "/rows",
    header: "Prefer: count=exact",
    paging: { by: "offset", offset: "offset", limit: "limit", size: 57, total: { header: "content-range" } },
    key: "id",
  },
  jira: {
    replica: replicas.jira,
    path: "/rest/api/2/search",
    paging: { by: "offset", offset: "startAt", limit: "maxResults", size: 100, total: "total" },
    key: "id",
  },
};

for (const [name, { replica, path, header, paging, key, mask, has }] of Object.entries(CASES)) {
  Deno.test(`a definition is written for a source like ${name}, and reads all its records`, async () => {
    await using source = serve(replica);
    const headers = header === undefined ? [] : [header];
    const drafted = await draft(`${source.origin}${path}`, { name, headers, readEnv, signal });
    assert.deepEqual(drafted.paging, paging, drafted.doubts.join());
    assert.ok(drafted.isUsable, drafted.doubts.join());
    assert.ok(drafted.requests <= 60, `${drafted.requests} requests`);
    const { plan, problems } = await loaded(drafted);
    assert.deepEqual(problems, [], drafted.text);
    assert.equal(plan!.definition.key, key);
    if (mask !== undefined) assert.equal((plan!.definition.mask as string[]).join(), mask);
    if (has !== undefined) assert.match(drafted.text, has);
    assert.deepEqual(await extracted(plan!), { records: RECORDS, bad: [] });
  });
}

/** Sources that announce little, or announce it wrong. Their definitions read everything, or can't be used yet. */
const ODD: Record<string, { replica: Replica; by: string | undefined }> = {
  "pages by a parameter with an unusual name": {
    replica: ({ url }) =>
      json(rows.slice((number(url, "feuille", 1) - 1) * 20, number(url, "feuille", 1) * 20)),
    by: undefined,
  },
  "a total, and pages by a parameter with an unusual name": {
    replica: ({ url }) =>
      json({ total: 57, rows: rows.slice(number(url, "depuis", 0), number(url, "depuis", 0) + 7) }),
    by: undefined,
  },
  "a count that is the page's": {
    replica: ({ url }) =>
      json({ count: 20, rows: rows.slice(number(url, "depuis", 0), number(url, "depuis", 0) + 20) }),
    by: undefined,
  },
  "everything at once": { replica: () => json(rows), by: "none" },
  "a list under a key with a dot": { replica: () => json({ "rows.all": rows, total: RECORDS }), by: "none" },
  "pages without a total or a flag": {
    replica: ({ url }) => json(rows.slice((number(url, "page", 1) - 1) * 20, number(url, "page", 1) * 20)),
    by: "page",
  },
  "pages from 0, with a total": {
    replica: ({ url }) => {
      const size = number(url, "size", 10), page = number(url, "page", 0);
      return json({
        content: rows.slice(page * size, (page + 1) * size),
        totalElements: 57,
        totalPages: Math.ceil(57 / size),
      });
    },
    by: "page",
  },
  "pages whose end is 404": {
    replica: ({ url }) => {
      const page = number(url, "page", 1);
      const results = rows.slice((page - 1) * 20, page * 20);
      return results.length > 0 ? json({ results }) : json({ detail: "Invalid page." }, 404);
    },
    by: "page",
  },
  "a total that is capped": {
    replica: ({ url }) => {
      const limit = number(url, "limit", 10), skip = number(url, "skip", 0);
      return json({ total: 40, items: rows.slice(skip, skip + limit) });
    },
    by: "offset",
  },
  "a last page that is given again and again": {
    replica: ({ url }) => {
      const page = Math.min(number(url, "page", 1), 3);
      return json({ items: rows.slice((page - 1) * 20, page * 20) });
    },
    by: undefined,
  },
  "cursors beyond 2^53": {
    replica: ({ url }) => {
      const from = Number((url.searchParams.get("cursor") ?? "0").slice(-3));
      const next = from + 19 < 57 ? `9007199254741${String(from + 19).padStart(3, "0")}` : null;
      const items = from % 19 === 0 ? rows.slice(from, from + 19) : [];
      return new Response(`{"next_cursor":${next},"items":${JSON.stringify(items)}}`);
    },
    by: "cursor",
  },
  "a link to another origin": {
    replica: () => json({ items: rows.slice(0, 20), next: "https://cdn.example.org/rows?page=2" }),
    by: undefined,
  },
};

Deno.test("a source that reveals little or something false is read completely, or its paging is reported as not found", async (t) => {
  for (const [what, { replica, by }] of Object.entries(ODD)) {
    await t.step(what, async () => {
      await using source = serve(replica);
      const drafted = await draftRows(source);
      assert.equal(drafted.paging?.by, by, drafted.doubts.join());
      const { plan, problems } = await loaded(drafted);
      if (by === undefined) {
        assert.ok(drafted.doubts.length > 0);
        assert.match(problems.join(), /source\.paging/);
      } else assert.deepEqual(await extracted(plan!), { records: RECORDS, bad: [] });
    });
  }
});

Deno.test("no text of a source becomes code", async () => {
  const hostile = ["\n", "\r", "\u2028", "\u2029", "*/", "`${", '"'].map((mark) =>
    `${mark}globalThis.hostile=1;//`
  );
  await using source = serve(({ url }) => {
    const from = number(url, "cursor", 0);
    return json({
      next_cursor: String(from + 10),
      ...Object.fromEntries(hostile.map((text) => [`next${text}`, `x${text}`])),
      items: rows.slice(from, from + 10).map((row) => ({
        ...row,
        ...Object.fromEntries(hostile.map((text, at) => [`key${at}${text}`, `2026-01-01${text}`])),
        updated_at: `2026-01-01T00:00:00Z${hostile[2]}`,
        [`updated_at${hostile[3]}`]: `2026-01-01${hostile[3]}`,
        [`email${hostile[0]}`]: null,
        __proto__: null,
      })),
    });
  });
  const drafted = await draft(`${source.origin}/items`, { name: "items", headers: [], readEnv, signal });
  const { problems } = await loaded(drafted);
  assert.deepEqual(problems, [], drafted.text);
  assert.equal("hostile" in globalThis, false);
});

Deno.test("an answer without a list, or one that requires credentials, is refused with what to do", async () => {
  await using source = serve(replicas.stripe);
  const ask = (url: string, ...headers: string[]) =>
    draft(url, { name: undefined, headers, readEnv, signal });
  await assert.rejects(ask(`${source.origin}/v1/charges`), /HTTP 401\. Give its credentials: --header/);
  await assert.rejects(ask("example.org"), /wanted one that begins with https/);
  await assert.rejects(ask(`http://127.0.0.1:${freePort()}/x`), /^Failed: Cannot request http:.*refused/);
  await assert.rejects(
    ask(`${source.origin}/x`, "Authorization: Bearer sk_live_1"),
    /looks like a secret: write '\$VARIABLE'/,
  );
  await assert.rejects(ask(`${source.origin}/x?api_key=1`), /looks like a secret/);
  await assert.rejects(ask(`${source.origin}/x`, "Authorization: Bearer $NOT_SET"), /NOT_SET is unset/);
  await using page = serve(() => new Response("<html>"));
  await assert.rejects(ask(`${page.origin}/people`), /The answer is no JSON/);
  await using nothing = serve(() => json({ ok: true, ids: [1, 2] }));
  await assert.rejects(ask(`${nothing.origin}/people`), /holds no list of objects/);
  await assert.rejects(
    ask(`${nothing.origin}/raw_people`),
    /can't be a pipeline's name: is taken by a table/,
  );
});

/** Runs a command of `deno task etl`. */
async function etl(args: string[], env: Record<string, string>): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "etl", ...args],
    cwd: programPath("."),
    env: { ...ENV, ...env },
  }).output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("the definition written by etl new passes the type checker, is never overwritten, and can be tried", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, { replica, path, header }] of Object.entries(CASES)) {
      await using source = serve(replica);
      const headers = header === undefined ? [] : [header];
      const { text } = await draft(`${source.origin}${path}`, { name, headers, readEnv, signal });
      await Deno.writeTextFile(join(folder, `${name}.ts`), text);
    }
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "check",
        "--config",
        programPath("deno.json"),
        ...Object.keys(CASES).map((name) => join(folder, `${name}.ts`)),
      ],
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));

    await using source = serve(({ url, headers }) => {
      const answer = replicas.stripe({ url, headers });
      return url.pathname === "/v1/charges" ? answer : new Response("", { status: 404 });
    });
    const env = { PIPELINES_DIR: folder };
    const args = ["new", `${source.origin}/v1/charges`, "--header", "Authorization: Bearer $STRIPE_KEY"];
    const written = await etl(args, env);
    assert.equal(written.code, 0, written.text);
    assert.match(
      written.text,
      /charges\.ts: written after \d+ requests, paging last\n[\s\S]*Next: deno task etl try charges/,
    );
    const text = await Deno.readTextFile(join(folder, "charges.ts"));
    assert.doesNotMatch(text, /sk_test/);
    const again = await etl(args, env);
    assert.equal(again.code, 2);
    assert.match(again.text, /charges\.ts is there already, and was left as it is/);
    assert.equal(await Deno.readTextFile(join(folder, "charges.ts")), text);

    const tried = await etl(["try", "charges"], env);
    assert.equal(tried.code, 0, tried.text);
    assert.match(tried.text, /^valid {3}ch_0000\n[\s\S]*10 valid, 0 invalid; a next page/);
    await Deno.writeTextFile(
      join(folder, "charges.ts"),
      text.replace("email: z.email()", "email: z.uuid()").replace(
        "amount: integer",
        "amount: integer.min(500)",
      ),
    );
    const bad = await etl(["try", "charges", "--json"], env);
    assert.equal(bad.code, 1);
    assert.deepEqual(JSON.parse(bad.text.split("\n", 1)[0]!), {
      key: "ch_0000",
      valid: false,
      problems: ["amount: 0 is less than 500", "billing_details.email: not a UUID"],
    });
    const none = await etl(["try", "chargse"], env);
    assert.equal(none.code, 2);
    assert.match(none.text, /There is no pipeline "chargse" in .* Known: charges, crossref/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
