import assert from "node:assert/strict";
import { join } from "node:path";
import { loadPipelines, pipelinesDir } from "./load.ts";

/** Returns a valid definition with the members of `change` replaced; an empty text removes the member. */
function definition(change: Record<string, string> = {}): string {
  const members: Record<string, string> = {
    name: '"feed"',
    record:
      "z.object({ id: integer, team: z.string(), at: z.iso.datetime(), tags: z.array(z.string()), note: z.string().optional() })",
    key: '"id"',
    source: '{ url: "https://api.example.org/feed", paging: { by: "none" } }',
    ...change,
  };
  const text = Object.entries(members).filter(([, value]) => value !== "").map(([key, value]) =>
    `${key}: ${value}`
  );
  return `import { z } from "zod";
import { env, integer, pipeline, secret } from "etl";
void [env, integer, secret, z];
export default pipeline({ ${text.join(", ")} } as never);
`;
}

async function folder(files: Record<string, string>) {
  const path = await Deno.makeTempDir();
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(join(path, name), text);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

async function problemsOf(text: string, file = "feed.ts"): Promise<readonly string[]> {
  await using dir = await folder({ [file]: text });
  const { plans, broken } = await loadPipelines(dir.path);
  assert.equal(plans.size + broken.size, 1);
  return [...broken.values()][0] ?? [];
}

const source = (rest: string) => ({ source: `{ url: "https://api.example.org/feed", ${rest} }` });
const paged = (rest: string) => source(`paging: { by: "none" }, ${rest}`);
const record = (schema: string) => ({
  record: `z.object({ id: integer, deep: z.object({ at: ${schema} }) })`,
});

/** The changed members and the errors they cause. */
const MISTAKES: [change: Record<string, string>, ...says: RegExp[]][] = [
  [{ nmae: '"x"' }, /^feed\.ts: nmae: unknown; known are name, schedule, record/],
  [{ name: '"other"' }, /^feed\.ts: name: "other": wanted the file's name, "feed"/],
  [{ name: "7" }, /name: 7: wanted the file's name/],
  [{ schedule: '"61 * * * *"' }, /schedule: "61 \* \* \* \*": wanted a cron pattern/],
  [{ schedule: '"0 0 30 2 *"' }, /schedule: .*wanted a cron pattern with a time to come/],
  [{ schedule: 'env("THE NAME", "off")' }, /schedule: "THE NAME": wanted the name of a variable/],
  [
    { schedule: "() => 1" },
    /schedule: a function: a definition is data/,
    /schedule: wanted a cron pattern|schedule: .*wanted/,
  ],
  [{ record: "" }, /record: wanted z\.object/],
  [{ record: "z.string()" }, /record: wanted z\.object/],
  [{ key: '"nope"' }, /key: "nope": the record has no such field/],
  [{ key: '"tags"' }, /key: "tags": wanted a field whose values are strings or numbers/],
  [{ key: '"note"' }, /key: "note": wanted a field that every record has/],
  [{ key: "" }, /key: missing: wanted text/],
  [{ mask: '["note", "bank.iban"]' }, /mask\.1: "bank\.iban": the record has no such field/],
  [{ index: '["tags"]' }, /index\.0: "tags": wanted a field whose values are/],
  [{ load: '"replace"' }, /load: "replace": wanted append, upsert or snapshot/],
  [{ hold: '{ invalid: "150%" }' }, /hold\.invalid: "150%": wanted a percentage/],
  [{ hold: "{ shrink: 5 }" }, /hold\.shrink: 5: wanted a percentage/],
  [{ deliver: '{ to: "sftp", folder: "../x" }' }, /deliver\.folder: "\.\.\/x": wanted a folder below/],
  [
    { deliver: '{ to: "sftp", folder: env("FOLDER", "x") }' },
    /deliver\.folder: env\("FOLDER"\): wanted the value itself: env can stand in source, in schedule and/,
  ],
  [{ hold: '{ invalid: env("INVALID", "5%") }' }, /hold\.invalid: env\("INVALID"\): wanted the value itself/],
  [{ mask: '[env("MASK", "note")]' }, /mask\.0: env\("MASK"\): wanted the value itself/],
  [
    { add: '{ code: { lookup: env("FILE", "x.csv"), key: env("KEY", "k"), value: "v", by: "team" } }' },
    /add\.code\.key: env\("KEY"\): wanted the value itself/,
  ],
  [
    { source: '{ url: "api.example.org", paging: { by: "none" } }' },
    /source\.url: "api\.example\.org": wanted an address/,
  ],
  [
    { source: '{ url: "https://me:pw@api.example.org", paging: { by: "none" } }' },
    /source\.url: holds a user or a password/,
  ],
  [{ source: '{ url: "https://x.example" }' }, /source\.paging: missing: wanted/],
  [source('paging: { by: "ofset" }'), /source\.paging\.by: "ofset": wanted none, offset, page/],
  [
    source('paging: { by: "offset", offset: "skip", limt: "limit", size: 0 }'),
    /source\.paging\.limit: missing: wanted text/,
    /source\.paging\.size: 0: wanted a whole number from 1 to 10000/,
    /source\.paging\.limt: unknown; known are by, offset, limit, size, first, total/,
  ],
  [
    source('paging: { by: "offset", offset: "skip", limit: "limit", size: env("SIZE", 0.5) }'),
    /paging\.size: 0\.5: wanted/,
  ],
  [
    source('paging: { by: "last", param: "after", field: "nope" }'),
    /paging\.field: "nope": the record has no such field/,
  ],
  [
    source('paging: { by: "cursor", param: "after", next: "next", more: "meta.isLast" }'),
    /source\.paging\.more: "meta\.isLast": is true at the end by its name: wanted "!meta\.isLast"/,
  ],
  [source('paging: { by: "page", page: "p" }, query: { p: 1 }'), /source\.query\.p: "p": is set by paging/],
  [
    paged('auth: { bearer: "hush-secret" }'),
    /source\.auth\.bearer: wanted secret\("NAME"\): .*never in the file$/,
  ],
  [paged('auth: { basic: ["me", "pw"] }'), /source\.auth\.basic\.1: wanted secret/],
  [paged('auth: { token: secret("X") }'), /source\.auth: wanted an object with one of bearer, basic/],
  [
    paged('auth: { oauth2: { token: "x", id: secret("A"), secret: "b" } }'),
    /oauth2\.token: wanted/,
    /oauth2\.secret: wanted secret/,
  ],
  [paged('headers: { Authorization: "Bearer hush" }'), /headers\.Authorization: looks like a secret/],
  [paged('query: { api_key: "hush" }'), /query\.api_key: looks like a secret/],
  [paged("concurrency: 4"), /source\.concurrency: 4: only offset and page with a total/],
  [paged("rate: 0"), /source\.rate: 0: wanted requests a second, more than 0/],
  [paged("empty: [4]"), /source\.empty\.0: 4: wanted a whole number from 100 to 599/],
  [paged('origins: ["cdn.example.org"]'), /source\.origins\.0: .*wanted an address/],
  [
    paged('since: { field: "id2", from: 1, send: { since: "{}" } }'),
    /source\.since\.field: "id2": the record has no such field/,
  ],
  [
    paged('since: { field: "at", from: "2026", send: { since: "now" }, overlap: "5 min", window: "1h" }'),
    /since\.overlap: "5 min": wanted a duration/,
  ],
  [
    paged('since: { field: "at", from: "2026", send: { since: "now" }, window: "1h" }'),
    /since\.send: wanted "\{\}"/,
    /since\.window: wanted until/,
  ],
  [
    { ...paged('since: { field: "at", from: "2026", send: { since: "{}" } }'), load: '"snapshot"' },
    /load: "snapshot": a run with since/,
  ],
  [
    { add: '{ code: { lookup: "teams.csv", key: "team", value: "code", by: "tags" } }' },
    /add\.code\.by: "tags": wanted a field whose values are strings/,
  ],
  [
    { add: '{ code: { lookup: "teams.csv", key: "team", value: "code", by: "team" } }' },
    /add\.code\.lookup: "teams\.csv": can't be read/,
  ],
  [
    record("z.string().transform(Number)"),
    /record\.deep\.at: z\.pipe \(transform, preprocess, codec, stringbool\) changes values/,
  ],
  [record("z.preprocess(Number, z.number())"), /record\.deep\.at: z\.pipe/],
  [record("z.string().refine((x) => x)"), /record\.deep\.at: refine, check: it runs code/],
  [record("z.string().trim()"), /record\.deep\.at: trim, toLowerCase/],
  [record("z.string().default('x')"), /record\.deep\.at: z\.default changes values/],
  [record("z.coerce.number()"), /record\.deep\.at: z\.coerce changes values/],
  [record("z.date()"), /record\.deep\.at: z\.date has no counterpart in JSON/],
  [record("z.bigint()"), /record\.deep\.at: z\.bigint has no counterpart in JSON/],
  [record("z.array(z.map(z.string(), z.string()))"), /record\.deep\.at\.\[\]: z\.map has no counterpart/],
  [record("z.lazy(() => z.string())"), /record\.deep\.at: z\.lazy refers to itself/],
  [record("z.looseObject({ x: z.string() })"), /record\.deep\.at: strictObject, looseObject/],
  [record("z.custom((x) => x)"), /record\.deep\.at: z\.custom runs code/],
  [record("7"), /record\.deep\.at: wanted a schema of zod/],
];

for (const [change, ...says] of MISTAKES) {
  Deno.test(`a definition is refused: ${JSON.stringify(change)}`, async () => {
    const problems = await problemsOf(definition(change));
    for (const wanted of says) {
      assert.ok(problems.some((problem) => wanted.test(problem)), problems.join("\n") || "accepted");
    }
    assert.doesNotMatch(problems.join(), /hush|pw/);
  });
}

Deno.test("a definition with every option is accepted", async () => {
  const text = definition({
    schedule: 'env("FEED_SCHEDULE", "*/15 * * * *")',
    source: `{
      url: env("FEED_URL", "https://api.example.org/feed"), query: { state: "all", v: 2 }, headers: { Accept: "application/json" },
      auth: { basic: [secret("FEED_USER"), ""] }, records: "data.items",
      paging: { by: "page", page: "page", first: 0, size: ["per_page", env("FEED_SIZE", 100)], pages: { header: "X-Pages" } },
      since: { field: "at", from: "2026-01-01T00:00:00Z", send: { since: "{}" }, until: { until: "{}" }, overlap: "5m", window: "1.5h" },
      origins: ["https://cdn.example.org"], error: "error.message", empty: [404], rate: 2.5, concurrency: 8 }`,
    mask: '["note"]',
    hold: '{ invalid: "5%", shrink: "12.5%" }',
    load: '"upsert"',
    index: '["team"]',
    deliver: '"none"',
  });
  assert.deepEqual(await problemsOf(text), []);
});

Deno.test("a definition that can't be loaded is reported, and stops only its own pipeline", async () => {
  await using dir = await folder({
    "good.ts": definition({ name: '"good"' }),
    "syntax.ts": "export default {",
    "empty.ts": "export const x = 1;",
    "throws.ts": 'throw new Error("at work");\nexport default 1;',
    "number.ts": "export default 1;",
    "imports.ts": 'import { x } from "./good.ts";\nexport default x;',
    "twin.ts": definition({ name: '"good"' }),
    "no-name.ts": definition({ name: '"no-name"' }),
    "notes.md": "not a definition",
  });
  await Deno.mkdir(join(dir.path, "examples"));
  await Deno.writeTextFile(join(dir.path, "examples", "more.ts"), definition());
  const { plans, broken } = await loadPipelines(dir.path);
  assert.deepEqual([...plans.keys()], ["good"]);
  const first = (name: string) => broken.get(name)?.[0] ?? "";
  assert.match(first("syntax"), /^syntax\.ts: can't be loaded: .*, in line 1$/);
  assert.match(first("empty"), /^empty\.ts: no default export/);
  assert.match(first("throws"), /^throws\.ts: can't be loaded: at work/);
  assert.match(first("number"), /^number\.ts: the default export is a number/);
  assert.match(first("imports"), /^imports\.ts: imports "\.\/good\.ts": wanted zod and etl alone/);
  assert.match(first("twin"), /^twin\.ts: name: "good": wanted the file's name, "twin"/);
  assert.match(first("no-name"), /^no-name\.ts: name: "no-name": wanted lower-case letters/);
  assert.equal(broken.size, 7);
});

Deno.test("a name that collides with a table of the store is refused", async () => {
  const store = new URL("../store/", import.meta.url);
  const migrations = ["0001_runs_and_records", "0002_trimmed", "0003_extractor_state"];
  const files = ["sqlite/schema.sql", ...migrations.map((name) => `postgres/migrations/${name}.sql`)];
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(new URL(file, store))));
  const named = [...texts.join().matchAll(/CREATE (?:UNIQUE )?(?:TABLE|VIEW|INDEX) ([a-z_]+)/g)];
  const tables = [...new Set(named.map(([, name]) => name!))];
  assert.ok(tables.includes("etl_runs") && tables.includes("leases"));
  const words = ["order", "select", "lateral", "current_user"];
  const names = [...tables, "runs", "events", "raw_users", "invalid_feed", "feed_changes", ...words];
  await using dir = await folder(Object.fromEntries(
    names.map((name) => [`${name}.ts`, definition({ name: JSON.stringify(name) })]),
  ));
  const { plans, broken } = await loadPipelines(dir.path);
  assert.deepEqual([...plans.keys()], []);
  for (const name of names) {
    assert.match(broken.get(name)!.join(), /is taken by a table of the store|is a word of SQL/);
  }
});

Deno.test("all problems of a definition are found at once, those of paths as well as those of values", async () => {
  const problems = await problemsOf(definition({
    key: '"uid"',
    mask: '["gone", 7]',
    load: '"replace"',
    source: `{ url: "example.org", paging: { by: "last", param: "after", field: "none" }, rate: 0 }`,
  }));
  const keys = problems.map((problem) => /^feed\.ts: ([\w.]+): /.exec(problem)?.[1]);
  assert.deepEqual(keys.sort(), [
    "key",
    "load",
    "mask.0",
    "mask.1",
    "source.paging.field",
    "source.rate",
    "source.url",
  ]);
});

Deno.test("two pipelines can't deliver to one folder, however it is written", async () => {
  for (const [a, b] of [[".", "."], ["in", "./in/"], ["a/b", "a//b"], ["in", "b"], ["b", undefined]]) {
    const to = (name: string, folder?: string) =>
      definition({
        name: `"${name}"`,
        ...folder === undefined ? {} : { deliver: JSON.stringify({ to: "sftp", folder }) },
      });
    await using dir = await folder({ "a.ts": to("a", a), "b.ts": to("b", b) });
    const { plans, broken } = await loadPipelines(dir.path);
    if (b === "b") {
      assert.deepEqual([...plans.keys()], ["a", "b"]);
      continue;
    }
    assert.deepEqual([...plans.keys()], ["a"]);
    assert.match(broken.get("b")![0]!, /^b\.ts: deliver\.folder: ".+": is the folder of a too/);
  }
});

Deno.test("a lookup must have the columns", async () => {
  const add = '{ code: { lookup: "teams.csv", key: "team", value: "code", by: "team" } }';
  for (
    const [head, isTaken] of [["team,code", true], ["\ufeffTeam, Code", true], ["team,code\rB,2", true], [
      "code,team",
      false,
    ], [
      "",
      false,
    ]]
  ) {
    await using dir = await folder({ "feed.ts": definition({ add }), "teams.csv": `${head}\nA,1\n` });
    const { broken } = await loadPipelines(dir.path);
    if (isTaken) assert.deepEqual([...broken], []);
    else {assert.match(
        broken.get("feed")!.join(),
        /add\.code\.lookup: "teams\.csv": begins with .*wanted the columns team,code/,
      );}
  }
});

Deno.test("the pipelines of this program load, and a missing folder is named", async () => {
  const { plans, broken } = await loadPipelines(pipelinesDir());
  assert.deepEqual([...broken], []);
  assert.ok(plans.has("users"));
  await assert.rejects(loadPipelines("/nowhere"), /the folder "\/nowhere" can't be read/);
});
