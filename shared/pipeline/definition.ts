/** The schema of a definition. The type checker finds most mistakes in the editor; this finds them at run time. */
import { Cron } from "croner";
import * as z from "zod";
import { contradictions, secretsIn } from "./contradictions.ts";
import { isObject, type JsonObject, kindOf, shown } from "./problems.ts";
import type { ResolvedAuth } from "./resolve.ts";
import { isPlaceholder, replaced, variableOf } from "./placeholder.ts";
import { type Mistake, schemasAt, takesOnly, unsupported } from "./supported.ts";

const AUTHS = {
  bearer: (secret: z.ZodType) => z.strictObject({ bearer: secret }),
  basic: (secret: z.ZodType) =>
    z.strictObject({
      basic: z.tuple([
        z.union([z.string(), secret], "wanted a user name or secret(NAME)"),
        z.union([z.literal(""), secret], SECRET_WANTED),
      ], 'wanted [user, secret("NAME")]'),
    }),
  oauth2: (secret: z.ZodType) =>
    z.strictObject({
      oauth2: strict({ token: address(), id: secret, secret, scope: filled().optional() }),
    }),
  header: (secret: z.ZodType) => z.strictObject({ header: header(), value: secret }),
  query: (secret: z.ZodType) => z.strictObject({ query: filled(), value: secret }),
};

const SECRET_WANTED = 'wanted secret("NAME"): a secret stands in the environment alone, never in the file';
export const NAME: RegExp = /^[a-z][a-z0-9_]{0,39}$/;
export const NAME_WANTED = "wanted lower-case letters, digits and underscores, a letter first, at most 40";
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

const BELOW = "wanted a folder below the server's, such as orders";

const filled = () => z.string("wanted text").min(1, "wanted text");
const address = () =>
  z.url({
    protocol: /^https?$/,
    hostname: /./,
    error: "wanted an address that begins with https:// or http://",
  });
const header = () =>
  z.string("wanted a header's name").regex(/^[\w!#$%&'*+.^`|~-]+$/, "wanted a header's name");
const at = () =>
  z.union([filled(), strict({ header: header() })], "wanted a place in the body, or { header: NAME }");
const whole = (min: number, max: number) => {
  const wanted = `wanted a whole number from ${min} to ${max}`;
  return z.int(wanted).min(min, wanted).max(max, wanted);
};
const duration = () =>
  z.string("wanted a duration such as 30s, 5m, 1h or 2d")
    .regex(/^(?!0+(\.0+)?[smhd]$)\d+(\.\d+)?[smhd]$/, "wanted a duration such as 30s, 5m, 1h or 2d");
const percent = () =>
  z.string('wanted a percentage such as "5%"').regex(
    /^(100(\.0+)?|\d{1,2}(\.\d+)?)%$/,
    'wanted a percentage such as "5%", at most "100%"',
  );
const texts = (wanted: string) => z.record(z.string(), z.string(wanted), wanted);
const path = () => filled();

function strict<S extends z.ZodRawShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  const known = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys" ? `unknown; known are ${known}` : `wanted an object with ${known}`,
  });
}

const PAGING = z.discriminatedUnion("by", [
  strict({ by: z.literal("none"), total: at().optional() }),
  strict({
    by: z.literal("offset"),
    offset: filled(),
    limit: filled(),
    size: whole(1, 10_000),
    first: z.union([z.literal(0), z.literal(1)], "wanted 0 or 1").optional(),
    total: at().optional(),
  }),
  strict({
    by: z.literal("page"),
    page: filled(),
    first: z.union([z.literal(0), z.literal(1)], "wanted 0 or 1").optional(),
    size: z.tuple([filled(), whole(1, 10_000)], 'wanted [parameter, number], such as ["per_page", 100]')
      .optional(),
    pages: at().optional(),
    total: at().optional(),
  }),
  strict({
    by: z.literal("cursor"),
    param: filled(),
    next: at(),
    first: z.string("wanted text").optional(),
    more: filled().optional(),
    total: at().optional(),
  }),
  strict({
    by: z.literal("last"),
    param: filled(),
    field: path(),
    more: filled().optional(),
    total: at().optional(),
  }),
  strict({ by: z.literal("link"), next: filled(), total: at().optional() }),
  strict({ by: z.literal("link-header"), rel: filled().optional(), total: at().optional() }),
], {
  error: ({ input }) =>
    isObject(input)
      ? "wanted none, offset, page, cursor, last, link or link-header"
      : 'wanted { by: "none" } or another style of paging',
});

const SOURCE = strict({
  url: address(),
  query: z.record(
    z.string(),
    z.union([z.string(), z.number()], "wanted text or a number"),
    "wanted parameters",
  )
    .optional(),
  headers: texts("wanted text").optional(),
  auth: z.unknown().optional(),
  records: filled().optional(),
  paging: PAGING,
  since: strict({
    field: path(),
    from: z.union([filled(), z.number()], "wanted text or a number: where the first run begins"),
    send: texts('wanted parameters, such as { since: "{}" }'),
    until: texts('wanted parameters, such as { until: "{}" }').optional(),
    overlap: duration().optional(),
    window: duration().optional(),
  }).optional(),
  origins: z.array(address(), "wanted a list of origins, such as https://cdn.example.org").optional(),
  error: filled().optional(),
  empty: z.array(whole(100, 599), "wanted a list of status codes, such as [404]").optional(),
  rate: z.number("wanted requests a second").positive("wanted requests a second, more than 0").optional(),
  concurrency: whole(1, 64).optional(),
});

/** A valid source; its `auth` is checked separately. */
export type SourceDefinition = Omit<z.infer<typeof SOURCE>, "auth"> & { auth?: ResolvedAuth };

const SCHEDULE = z.string("wanted a cron pattern or off").refine(
  isSchedule,
  "wanted a cron pattern with a time to come, or off",
);

const DEFINITION = strict({
  name: z.string("wanted the file's name").regex(NAME, NAME_WANTED),
  schedule: SCHEDULE.optional(),
  record: z.unknown(),
  key: path(),
  source: SOURCE,
  add: z.record(
    z.string().min(1),
    strict({
      lookup: filled(),
      key: filled(),
      value: filled(),
      by: path(),
      otherwise: z.string("wanted text").optional(),
    }),
    "wanted members by name",
  ).optional(),
  mask: z.array(path(), "wanted a list of paths").optional(),
  hold: strict({ invalid: percent().optional(), shrink: percent().optional() }).optional(),
  load: z.enum(["append", "upsert", "snapshot"], "wanted append, upsert or snapshot").optional(),
  index: z.array(path(), "wanted a list of paths").optional(),
  deliver: z.union([
    z.literal("none"),
    strict({
      to: z.literal("sftp"),
      folder: z.string(BELOW).regex(/^(?!\/)(?!.*(^|\/)\.\.(\/|$))[^\0\\]+$/, BELOW).optional(),
    }),
  ], 'wanted "none" or { to: "sftp" }').optional(),
});

/** The parts of a definition whose values may come from the environment. */
export const PARTS = { definition: DEFINITION, source: SOURCE, schedule: SCHEDULE } as const;

/** The mistakes in a part of a definition with resolved placeholders. */
export function complaintsOf(part: z.ZodType, value: unknown): Mistake[] {
  const mistakes = issuesOf(part, value);
  if (part === SCHEDULE || !isObject(value)) return mistakes;
  const source = part === SOURCE ? value : value.source;
  if (!isObject(source)) return mistakes;
  const above = part === SOURCE ? [] : ["source"];
  const found = source.auth === undefined ? [] : authMistakes(source.auth);
  if (mistakes.length + found.length === 0) {
    found.push(...contradictions(source as unknown as SourceDefinition));
  }
  return [...mistakes, ...found.map((mistake) => ({ ...mistake, path: [...above, ...mistake.path] }))];
}

function issuesOf(schema: z.ZodType, value: unknown): Mistake[] {
  return schema.safeParse(value).error?.issues.flatMap((issue): Mistake[] => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({ path: [...issue.path, key], text: issue.message }));
    }
    const found = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], value);
    const isShown = found !== undefined && issue.path[0] !== "auth";
    return [{
      path: issue.path,
      text: `${found === undefined ? "missing: " : isShown ? `${quoted(found)}: ` : ""}${issue.message}`,
    }];
  }) ?? [];
}

function quoted(value: unknown): string {
  return isPlaceholder(value) ? `secret(${JSON.stringify(variableOf(value))})` : shown(value);
}

function authMistakes(auth: unknown): Mistake[] {
  const kind = (Object.keys(AUTHS) as (keyof typeof AUTHS)[]).find((kind) => isObject(auth) && kind in auth);
  if (kind === undefined) {
    return [{ path: ["auth"], text: `wanted an object with one of ${Object.keys(AUTHS).join(", ")}` }];
  }
  const secret = z.custom((value) => isPlaceholder(value) && "secret" in value, SECRET_WANTED);
  return issuesOf(z.object({ auth: AUTHS[kind](secret) }), { auth });
}

function isSchedule(text: string): boolean {
  if (text === "off") return true;
  try {
    return new Cron(text, { paused: true }).nextRun() !== null;
  } catch {
    return false;
  }
}

/** All mistakes in a definition; a placeholder counts as its fallback. */
export function mistakesOf(definition: unknown): Mistake[] {
  if (!isObject(definition)) {
    return [{
      path: [],
      text: `the default export is ${kindOf(definition)}: wanted export default pipeline({ … })`,
    }];
  }
  const found: Mistake[] = [];
  const { record, ...data } = definition;
  const plain = replaced(data, ({ path, placeholder }) => {
    const name = variableOf(placeholder);
    if (!VARIABLE.test(name)) {
      found.push({ path, text: `${JSON.stringify(name)}: wanted the name of a variable` });
    } else if ("env" in placeholder && !isResolved(path)) {
      const text = `env(${JSON.stringify(name)}): wanted the value itself: env can stand in ${RESOLVED}`;
      found.push({ path, text });
    }
    return "env" in placeholder ? placeholder.fallback : placeholder;
  });
  found.push(...functionsIn(data));
  found.push(...complaintsOf(DEFINITION, { ...plain as object, record }));
  const ofRecord = unsupported(record).map(({ path, text }) => ({ path: ["record", ...path], text }));
  found.push(...ofRecord);
  if (ofRecord.length > 0) return found;
  const { source } = plain as { source?: { url?: unknown } };
  if (typeof source?.url === "string" && URL.canParse(source.url)) {
    found.push(...secretsIn(source.url).map((text) => ({ path: ["source", "url"], text })));
  }
  return [...found, ...pathMistakes(record as z.ZodObject, plain as JsonObject)];
}

const RESOLVED = "source, in schedule and for the file of a lookup";

/** Whether services resolve placeholders at this path. */
function isResolved([member, , of]: readonly PropertyKey[]): boolean {
  return member === "source" || member === "schedule" || (member === "add" && of === "lookup");
}

function functionsIn(value: unknown, path: readonly PropertyKey[] = []): Mistake[] {
  if (typeof value === "function") return [{ path, text: "a function: a definition is data" }];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => functionsIn(inner, [...path, key]));
}

/**
 * Paths that don't exist in the record, or lead to a value of another type. Other checks find paths that aren't text.
 */
function pathMistakes(record: z.ZodObject, definition: JsonObject): Mistake[] {
  const found: Mistake[] = [];
  const at = (...path: PropertyKey[]) => path.reduce<unknown>((value, key) => Object(value)[key], definition);
  const look = (
    wanted: readonly string[],
    path: readonly PropertyKey[],
    { always = false } = {},
  ) => {
    const text = at(...path);
    if (typeof text !== "string" || text === "") return;
    const say = (problem: string) => {
      found.push({ path, text: `${JSON.stringify(text)}: ${problem}` });
    };
    const there = schemasAt(record, text);
    if (there === undefined) say("the record has no such field");
    else if (wanted.length > 0 && !there.found.every((schema) => takesOnly(schema, wanted))) {
      say(`wanted a field whose values are ${wanted.map((type) => `${type}s`).join(" or ")}`);
    } else if (always && there.absent) {
      say("wanted a field that every record has: this one is optional or nullable");
    }
  };
  const scalar = ["string", "number"];
  look(scalar, ["key"], { always: true });
  look(scalar, ["source", "paging", "field"], { always: true });
  look(scalar, ["source", "since", "field"]);
  found.push(...momentMistakes(record, at("source", "since", "field"), at("source", "since", "from")));
  for (const [member, lookup] of Object.entries(Object(at("add")))) {
    look(["string"], ["add", member, "by"]);
    const { key, value } = Object(lookup);
    if (key !== undefined && key === value) {
      found.push({ path: ["add", member, "value"], text: `${shown(value)}: wanted another column than key` });
    }
    if (member === "error_reason") {
      found.push({ path: ["add", member], text: "is the name of what dead letters add" });
    }
    if (Object.hasOwn(record.shape, member)) {
      found.push({ path: ["add", member], text: "the record has this field itself: wanted another name" });
    }
  }
  const indexesOf = (list: unknown) => Array.isArray(list) ? list.keys() : [];
  for (const index of indexesOf(at("mask"))) look([], ["mask", index]);
  for (const index of indexesOf(at("index"))) look([...scalar, "boolean"], ["index", index]);
  if (at("load") === "snapshot" && at("source", "since") !== undefined) {
    found.push({
      path: ["load"],
      text:
        '"snapshot": a run with since reads only what changed, so all other records would count as gone: wanted "upsert"',
    });
  }
  return found;
}

/** Checks the start of the first run, as it is compared with the field's values. */
function momentMistakes(record: z.ZodObject, field: unknown, from: unknown): Mistake[] {
  const values = typeof field === "string" ? schemasAt(record, field)?.found : undefined;
  if (from === undefined || !values?.length) return [];
  if (values.some((schema) => takesOnly(schema, [typeof from, "null"]))) return [];
  const text = `${shown(from)}: wanted a value as ${JSON.stringify(field)} has it`;
  return [{ path: ["source", "since", "from"], text }];
}
