/**
 * Common mistakes in a definition, one at a time. The type checker finds most of them, also in the editor;
 * `deno task check` finds the others.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { programPath } from "../cli/services.ts";

/** The members of a valid definition. */
const RIGHT = {
  name: "NAME",
  schedule: '"*/15 * * * *"',
  record: `z.object({
    id: integer,
    team: z.string(),
    age: z.number().min(18),
    done: z.boolean(),
    at: z.iso.datetime(),
    tags: z.array(z.string()),
    bank: z.object({ iban: z.string().optional() }).optional(),
  })`,
  key: '"id"',
  url: '"https://api.example.org/people"',
  query: "{ state: 1 }",
  auth: '{ bearer: secret("SET") }',
  paging: '{ by: "offset", offset: "skip", limit: "limit", size: 100, total: "total" }',
  since: '{ field: "at", from: "2026-01-01", send: { since: "{}" }, overlap: "5m" }',
  empty: "[404]",
  headers: '{ Accept: "application/json" }',
  origins: '["https://cdn.example.org"]',
  add: '{ code: { lookup: "teams.csv", key: "team", value: "code", by: "team" } }',
  mask: '["bank.iban"]',
  hold: '{ invalid: "5%" }',
  load: '"upsert"',
  index: '["team"]',
  deliver: '{ to: "sftp" }',
};
type Member = keyof typeof RIGHT;
const OF_SOURCE: Member[] = ["url", "query", "auth", "paging", "since", "empty", "headers", "origins"];

interface Mistake {
  /** The changed members; an empty text removes the member. */
  readonly change: Partial<Record<Member, string>>;
  /** A text on the line of the type checker's error; undefined if the type checker can't find the mistake. */
  readonly at?: string;
  /** The error of `deno task check`. */
  readonly says: RegExp;
}

/** The mistakes, by the name of the pipeline. */
const MISTAKES: Record<string, Mistake> = {
  key_leads_nowhere: {
    change: { key: '"uid"' },
    at: "key:",
    says: /key: "uid": the record has no such field/,
  },
  key_is_a_list: { change: { key: '"tags"' }, at: "key:", says: /key: "tags": wanted a field whose values/ },
  key_is_missing: { change: { key: "" }, at: "pipeline({", says: /key: missing/ },
  by_leads_nowhere: {
    change: { add: '{ code: { lookup: "teams.csv", key: "team", value: "code", by: "teem" } }' },
    at: "add:",
    says: /add\.code\.by: "teem": the record has no such field/,
  },
  by_is_a_number: {
    change: { add: '{ code: { lookup: "teams.csv", key: "team", value: "code", by: "age" } }' },
    at: "add:",
    says: /add\.code\.by: "age": wanted a field whose values are strings/,
  },
  lookup_without_column: {
    change: { add: '{ code: { lookup: "teams.csv", key: "team", by: "team" } }' },
    at: "add:",
    says: /add\.code\.value: missing/,
  },
  mask_leads_nowhere: { change: { mask: '["ibna"]' }, at: "mask:", says: /mask\.0: "ibna"/ },
  mask_misspelt_below: { change: { mask: '["bank.ibna"]' }, at: "mask:", says: /mask\.0: "bank\.ibna"/ },
  index_leads_nowhere: { change: { index: '["teams"]' }, at: "index:", says: /index\.0: "teams"/ },
  since_leads_nowhere: {
    change: { since: '{ field: "updated", from: "2026-01-01", send: { since: "{}" } }' },
    at: "since:",
    says: /since\.field: "updated"/,
  },
  since_is_a_boolean: {
    change: { since: '{ field: "done", from: "2026-01-01", send: { since: "{}" } }' },
    at: "since:",
    says: /since\.field: "done": wanted a field whose values are strings or numbers/,
  },
  overlap_in_words: {
    change: { since: '{ field: "at", from: "2026-01-01", send: { since: "{}" }, overlap: "5 minutes" }' },
    at: "since:",
    says: /since\.overlap: "5 minutes": wanted a duration/,
  },
  paging_of_no_kind: {
    change: { paging: '{ by: "pages", page: "page" }' },
    at: "paging:",
    says: /paging\.by: "pages"/,
  },
  paging_with_a_slip: {
    change: { paging: '{ by: "offset", offset: "skip", limit: "limit", sise: 100 }' },
    at: "paging:",
    says: /paging\.sise: unknown/,
  },
  paging_size_as_text: {
    change: { paging: '{ by: "offset", offset: "skip", limit: "limit", size: "100" }' },
    at: "paging:",
    says: /paging\.size: "100": wanted a whole number/,
  },
  paging_is_missing: { change: { paging: "" }, at: "source:", says: /source\.paging: missing/ },
  paging_begins_at_2: {
    change: { paging: '{ by: "page", page: "p", first: 2 }' },
    at: "paging:",
    says: /paging\.first: 2/,
  },
  last_leads_nowhere: {
    change: { paging: '{ by: "last", param: "after", field: "uid" }' },
    at: "paging:",
    says: /paging\.field: "uid"/,
  },
  secret_in_the_file: {
    change: { auth: '{ bearer: "ghp_abc" }' },
    at: "auth:",
    says: /auth\.bearer: wanted secret/,
  },
  secret_from_env: {
    change: { auth: '{ bearer: env("SET", "") }' },
    at: "auth:",
    says: /auth\.bearer: wanted secret/,
  },
  auth_of_no_kind: {
    change: { auth: '{ token: secret("SET") }' },
    at: "auth:",
    says: /auth: wanted an object with one of/,
  },
  token_without_scheme: {
    change: { auth: '{ oauth2: { token: "id.example.org", id: secret("SET"), secret: secret("SET") } }' },
    at: "auth:",
    says: /oauth2\.token: wanted an address/,
  },
  query_of_a_list: {
    change: { query: '{ ids: ["1"] }' },
    at: "query:",
    says: /query\.ids: an array: wanted text or a number/,
  },
  empty_as_text: {
    change: { empty: '["404"]' },
    at: "empty:",
    says: /empty\.0: "404": wanted a whole number/,
  },
  hold_without_percent: {
    change: { hold: '{ invalid: "5" }' },
    at: "hold:",
    says: /hold\.invalid: "5": wanted a percentage/,
  },
  load_of_no_kind: { change: { load: '"replace"' }, at: "load:", says: /load: "replace": wanted append/ },
  deliver_to_nobody: {
    change: { deliver: '{ to: "ftp" }' },
    at: "deliver:",
    says: /deliver: an object: wanted "none" or/,
  },
  unknown_member: {
    change: { load: '"upsert", dedupe: true' },
    at: "load:",
    says: /dedupe: unknown; known are name/,
  },
  record_of_one_value: { change: { record: "z.string()" }, at: "record:", says: /record: wanted z\.object/ },
  a_function: {
    change: { query: "{ at: () => 1 }" },
    at: "query:",
    says: /query\.at: a function: a definition is data/,
  },
  name_of_another: {
    change: { name: '"people"' },
    says: /name: "people": wanted the file's name, "name_of_another"/,
  },
  runs: { change: {}, says: /name: "runs": is taken by a table of the store/ },
  raw_people: { change: {}, says: /name: "raw_people": is taken by a table of the store/ },
  address_without_scheme: {
    change: { url: '"api.example.org"' },
    says: /source\.url: "api\.example\.org": wanted an address/,
  },
  schedule_that_never_fires: {
    change: { schedule: '"0 0 31 2 *"' },
    says: /schedule: "0 0 31 2 \*": wanted a cron pattern/,
  },
  transform_in_the_record: {
    change: { record: RIGHT.record.replace("age: z.number()", "age: z.coerce.number()") },
    says: /record\.age: z\.coerce changes values/,
  },
  missing_lookup: {
    change: { add: RIGHT.add.replace("teams.csv", "gone.csv") },
    says: /add\.code\.lookup: "gone\.csv": can't be read/,
  },
  missing_variable: {
    change: { auth: '{ bearer: secret("NOT_SET") }' },
    says: /NOT_SET is unset: wanted a secret/,
  },
  secret_in_the_address: {
    change: { url: '"https://api.example.org/people?access_token=abc"' },
    says: /source\.url: its parameter "access_token" looks like a secret/,
  },
  secret_in_the_query: {
    change: { query: '{ token: "abc" }' },
    says: /source\.query\.token: looks like a secret/,
  },
  header_of_two_words: {
    change: { headers: '{ "Api Version": "2" }' },
    says: /source\.headers\.Api Version: wanted a header's name/,
  },
  header_of_two_lines: {
    change: { headers: '{ Accept: "a\\nb" }' },
    says: /source\.headers\.Accept: "a\\nb": wanted one line/,
  },
  header_set_twice: {
    change: { headers: '{ "x-page": "1" }', auth: '{ header: "X-Page", value: secret("SET") }' },
    says: /source\.headers\.x-page: is set by auth too/,
  },
  paging_with_one_parameter: {
    change: { paging: '{ by: "offset", offset: "p", limit: "p", size: 100 }' },
    says: /paging\.limit: "p": is set by paging too/,
  },
  key_in_the_place_of_a_page: {
    change: { auth: '{ query: "skip", value: secret("SET") }' },
    says: /auth\.query: "skip": is set by paging too/,
  },
  since_in_the_place_of_a_page: {
    change: { since: '{ field: "at", from: "2026-01-01", send: { skip: "{}" } }' },
    says: /since\.send\.skip: "skip": is set by paging too/,
  },
  since_from_a_word: {
    change: { since: '{ field: "at", from: "yesterday", send: { since: "{}" }, overlap: "5m" }' },
    says: /since\.from: "yesterday": wanted a time/,
  },
  since_from_another_type: {
    change: { since: '{ field: "age", from: "2026-01-01", send: { since: "{}" } }' },
    says: /since\.from: "2026-01-01": wanted a value as "age" has it/,
  },
  since_until_without_window: {
    change: { since: '{ field: "at", from: "2026-01-01", send: { a: "{}" }, until: { b: "{}" } }' },
    says: /since\.until: wanted window too/,
  },
  empty_where_refused: {
    change: { empty: "[404, 401]" },
    says: /empty\.1: 401: is no answer about the list/,
  },
  empty_where_good: { change: { empty: "[200]" }, says: /empty\.0: 200: is no answer about the list/ },
  empty_where_broken: { change: { empty: "[503]" }, says: /empty\.0: 503: is no answer about the list/ },
  origin_with_a_path: {
    change: { origins: '["https://cdn.example.org/people"]' },
    says: /origins\.0: "https:\/\/cdn\.example\.org\/people": wanted scheme and host alone/,
  },
  origin_with_a_star: {
    change: { origins: '["https://*.example.org"]' },
    says: /origins\.0: "https:\/\/\*\.example\.org": wanted scheme and host alone/,
  },
  field_that_is_added_too: {
    change: { add: RIGHT.add.replace("{ code:", "{ team:") },
    says: /add\.team: the record has this field itself/,
  },
  snapshot_of_changes: {
    change: { load: '"snapshot"' },
    says: /load: "snapshot": a run with since reads only what changed/,
  },
};

/** Returns the text of a definition; each member starts a line. */
function textOf(name: string, change: Mistake["change"] = {}): string {
  const given = { ...RIGHT, name: JSON.stringify(name), ...change };
  const line = (member: Member) => given[member] === "" ? "" : `\n  ${member}: ${given[member]},`;
  const source = OF_SOURCE.map(line).join("");
  const members = (Object.keys(given) as Member[]).filter((member) => !OF_SOURCE.includes(member)).map(line)
    .join("");
  return `import { z } from "zod";
import { env, integer, pipeline, secret } from "etl";
void env;
export default pipeline({${members}
  source: {${source}
  },
});
`;
}

async function output(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; text: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd: programPath("."),
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  });
  const { code, stdout, stderr } = await command.output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("of frequent mistakes in a definition the type checker finds most, and deno task check all", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const texts = new Map(Object.entries(MISTAKES).map(([name, { change }]) => [name, textOf(name, change)]));
    texts.set("people", textOf("people"));
    for (const [name, text] of texts) await Deno.writeTextFile(join(folder, `${name}.ts`), text);
    await Deno.writeTextFile(join(folder, "teams.csv"), "team,code\nA,1\n");

    const files = [...texts.keys()].map((name) => join(folder, `${name}.ts`));
    const { text: typed } = await output(["check", "--config", "deno.json", ...files]);
    const lines = new Map<string, string[]>();
    for (const [, name, line] of typed.matchAll(/at file:\S+\/(\w+)\.ts:(\d+):\d+/g)) {
      const found = texts.get(name!)?.split("\n")[Number(line) - 1];
      if (found !== undefined) lines.set(name!, [...lines.get(name!) ?? [], found]);
    }
    const { code, text: checked } = await output(["task", "--quiet", "check"], {
      PIPELINES_DIR: folder,
      SET: "x",
    });
    assert.equal(code, 1, checked);

    for (const [name, { at, says }] of Object.entries(MISTAKES)) {
      await t.step(name, () => {
        const found = lines.get(name) ?? [];
        if (at === undefined) assert.deepEqual(found, []);
        else {assert.ok(
            found.some((line) => line.includes(at)),
            found.join("\n") || "the type checker takes it",
          );}
        const text = checked.split(`\n${name}: `)[1] ?? checked.slice(checked.indexOf(`${name}: `));
        assert.match(text.split(/\n(?! )/, 1)[0]!, says);
      });
    }
    assert.equal(lines.get("people"), undefined);
    assert.match(checked, /^people: ok, \d+ rules, reads SET$/m);
    assert.ok(Object.keys(MISTAKES).length >= 24);
    assert.ok(lines.size >= 20, `the type checker finds ${lines.size}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
