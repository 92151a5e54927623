import { basename, join, relative } from "node:path";
import { linesOf } from "../../extractor/page.ts";
import { pagesOf, startOf } from "../../extractor/pages.ts";
import type { AnyPaging } from "../../extractor/paging/mod.ts";
import { isPageStatus } from "../../extractor/paging/style.ts";
import { type AnySource, sourceOf } from "../../extractor/source.ts";
import { messageOf } from "../../shared/errors/errors.ts";
import { pipelinesDir, problemsOfName } from "../../shared/pipeline/load.ts";
import { secret } from "../../shared/pipeline/mod.ts";
import { type AnyPipeline, planOf } from "../../shared/pipeline/plan.ts";
import { isObject, type JsonObject } from "../../shared/pipeline/problems.ts";
import type { ReadEnv } from "../../shared/pipeline/resolve.ts";
import { EXIT, say, UsageError } from "../command_line.ts";
import * as z from "zod";
import { pause } from "../../shared/actor/backoff.ts";
import { type Command, Failed } from "./command.ts";
import { type Answer, listsIn, SourceProbe, Unclear } from "./new_ask.ts";
import { findPaging, type PagingFound } from "./new_paging.ts";
import { keyIn, recordIn } from "./new_record.ts";

export interface Drafted {
  readonly name: string;
  readonly text: string;
  readonly doubts: readonly string[];
  /** If false, `deno task check` refuses it. */
  readonly isUsable: boolean;
  readonly paging: AnyPaging | undefined;
  readonly requests: number;
}

/** @throws UsageError, Failed */
export async function draft(
  url: string,
  { name: given, headers, readEnv, signal }: {
    name: string | undefined;
    headers: readonly string[];
    readEnv: ReadEnv;
    signal: AbortSignal;
  },
): Promise<Drafted> {
  const source = sourceFrom(url, headers);
  const name = nameFrom(given, source.url);
  using probe = new SourceProbe(source, readEnv, signal);
  let first = await probe.ask();
  if (!isPageStatus(first.status)) throw new Failed(refused(first, source));
  const lists = listsIn(first.body, first.address);
  const [list] = lists;
  if (list === undefined) {
    throw new Failed(
      first.body === undefined
        ? `The answer is no JSON (${
          first.headers.get("content-type") ?? "without a content type"
        }). Is this the address of an API?`
        : "The answer holds no list of objects. Give the address at which the source lists its records, when it has some.",
    );
  }
  probe.records = list.place;
  first = { ...first, records: probe.recordsIn(first.body) };
  const key = keyIn(first.records);
  const keyOf = (record: JsonObject) => key === undefined ? JSON.stringify(record) : String(record[key]);
  const doubts: string[] = [];
  if (lists.length > 1) {
    doubts.push(`The answer has other lists too: ${lists.slice(1).map(({ place }) => place).join(", ")}.`);
  }
  const paging = await findPaging(probe, first, keyOf).catch((error): PagingFound => {
    if (!(error instanceof Unclear)) throw error;
    return { paging: undefined, doubts: [error.message] };
  });
  const query = { ...source.query };
  for (const param of paramsOf(paging.paging)) delete query[param];
  const draft: AnySource = {
    ...source,
    query,
    ...list.place === undefined ? {} : { records: list.place },
    ...paging.empty === undefined ? {} : { empty: paging.empty },
    paging: paging.paging ?? { by: "none" },
  };
  let records: readonly JsonObject[] = first.records;
  let shown: PagingFound = paging;
  if (paging.paging !== undefined) {
    try {
      records = await walked({ name, source: draft, key: key ?? "id" }, readEnv, signal);
    } catch (error) {
      shown = { paging: undefined, doubts: [`It looked like ${paging.paging.by}, but: ${messageOf(error)}`] };
    }
  }
  const known = keyIn(records) === undefined ? undefined : key ?? keyIn(records);
  doubts.push(...shown.doubts);
  if (known === undefined) doubts.push("No field tells the records apart: set key.");
  const source_ = { ...draft, paging: shown.paging };
  return {
    name,
    text: textOf(name, source_, records, known, shown),
    doubts,
    isUsable: shown.paging !== undefined && known !== undefined,
    paging: shown.paging,
    requests: probe.requests,
  };
}

function refused({ status }: Answer, { auth }: AnySource): string {
  const remedy = status === 401 || status === 403
    ? auth === undefined
      ? ` Give its credentials: --header 'Authorization: Bearer $TOKEN', with TOKEN set in .env.`
      : " Check the variable that --header names."
    : " Check the address.";
  return `The source answers HTTP ${status}.${remedy}`;
}

const SECRET_NAME = /authorization|cookie|api-?_?key|token|secret|password/i;

function sourceFrom(text: string, headers: readonly string[]): AnySource {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(
      `${JSON.stringify(text)} is no address: wanted one that begins with https:// or http://.`,
    );
  }
  if (url.username || url.password) throw new UsageError("Leave user and password out of the address.");
  const source: { -readonly [K in keyof AnySource]: AnySource[K] } = { url: "", paging: { by: "none" } };
  const take = (auth: AnySource["auth"]) => {
    if (source.auth !== undefined) throw new UsageError("A source takes one secret: give one $VARIABLE.");
    source.auth = auth;
  };
  for (const [name, value] of url.searchParams) {
    const variable = /^\$(\w+)$/.exec(value)?.[1];
    if (variable !== undefined) take({ query: name, value: secret(variable) });
    else if (SECRET_NAME.test(name) && !/page|next/i.test(name)) throw inline(name, "parameter");
    else source.query = { ...source.query, [name]: value };
  }
  for (const header of headers) {
    const [, name, value] = /^([\w-]+):\s*(.+)$/.exec(header) ?? [];
    if (name === undefined || value === undefined) {
      throw new UsageError(
        `--header is ${JSON.stringify(header)}: wanted 'Name: value', or 'Name: $VARIABLE' for a secret.`,
      );
    }
    const [, scheme, variable] = /^(?:(Bearer)\s+)?\$(\w+)$/i.exec(value) ?? [];
    if (variable !== undefined) {
      const isBearer = scheme !== undefined && /^authorization$/i.test(name);
      take(isBearer ? { bearer: secret(variable) } : { header: name, value: secret(variable) });
    } else if (SECRET_NAME.test(name)) throw inline(name, "header");
    else source.headers = { ...source.headers, [name]: value };
  }
  url.search = "";
  url.hash = "";
  return { ...source, url: url.href };
}

function inline(name: string, what: string): UsageError {
  return new UsageError(
    `The ${what} ${name} looks like a secret: write '$VARIABLE' in its place, and set the variable in .env.`,
  );
}

function nameFrom(given: string | undefined, url: string): string {
  const last = new URL(url).pathname.split("/").filter((part) => /[a-z]/i.test(part)).at(-1) ??
    new URL(url).hostname;
  const name = given ??
    last.replace(/\.\w+$/, "").replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase().replace(/[^a-z0-9]+/g, "_")
      .replace(/^[^a-z]+|_+$/g, "").slice(0, 40);
  const [problem] = problemsOfName(name);
  if (problem !== undefined) {
    throw new UsageError(`${JSON.stringify(name)} can't be a pipeline's name: ${problem}. Give --name.`);
  }
  return name;
}

function paramsOf(paging: AnyPaging | undefined): string[] {
  switch (paging?.by) {
    case "offset":
      return [paging.offset, paging.limit];
    case "page":
      return [paging.page, ...paging.size === undefined ? [] : [paging.size[0]]];
    case "cursor":
    case "last":
      return [paging.param];
  }
  return [];
}

/** Number of pages to read as a test of the definition. */
const PAGES = 3;

/** The records of the first pages, as a run would read them. @throws if the run would end or fail instead. */
async function walked(
  { name, source, key }: { name: string; source: AnySource; key: string },
  readEnv: ReadEnv,
  signal: AbortSignal,
): Promise<JsonObject[]> {
  const definition = { name, record: z.object({}), key, source } as unknown as AnyPipeline;
  const patience = {
    timeoutMs: 20_000,
    maxBytes: 50_000_000,
    maxRetries: 0,
    retryDelaysMs: [0],
    sleep: pause,
  };
  using probe = sourceOf(planOf(definition), patience, readEnv);
  const records: JsonObject[] = [];
  const known = new Set<string>();
  let pages = 0;
  for await (const page of pagesOf(probe, startOf(probe), signal)) {
    pages += 1;
    for (const line of linesOf(page)) {
      const record = JSON.parse(line);
      const text = JSON.stringify(record[key] ?? record);
      if (known.has(text)) throw new Failed(`page ${pages} has a record that an earlier one has`);
      known.add(text);
      if (isObject(record)) records.push(record);
    }
    if (pages === PAGES || page.way.next?.beyond !== undefined) break;
  }
  return records;
}

function code(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(code).join(", ")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, inner]) =>
    `${/^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key)}: ${code(inner)}`
  );
  return `{ ${members.join(", ")} }`;
}

/** A one-line comment, whatever text the source sent. */
function comment(text: string): string {
  return `// ${text.replace(/[\r\n\u2028\u2029]+/g, " ")}`;
}

function textOf(
  name: string,
  { url, query = {}, headers, auth, records: place, empty, paging }: Omit<AnySource, "paging"> & {
    paging: AnyPaging | undefined;
  },
  records: readonly JsonObject[],
  key: string | undefined,
  { doubts }: PagingFound,
): string {
  const { lines, mask, times } = recordIn(records, key);
  const [time] = times;
  const uses = [
    ...lines.some((line) => /\binteger\b/.test(line)) ? ["integer"] : [],
    "pipeline",
    ...auth ? ["secret"] : [],
  ];
  const authText = auth === undefined ? "" : code(auth).replace(/\{ secret: ("\w+") \}/g, "secret($1)");
  const source = [
    `url: ${code(url)},`,
    ...Object.keys(query).length > 0 ? [`query: ${code(query)},`] : [],
    ...headers === undefined ? [] : [`headers: ${code(headers)},`],
    ...auth === undefined ? [] : [`auth: ${authText},`],
    ...place === undefined ? [] : [`records: ${code(place)},`],
    ...doubts.map((doubt) => comment(`NOT SURE: ${doubt}`)),
    paging === undefined
      ? 'paging: { by: "unknown" } as never, // set it: none, offset, page, cursor, last, link or link-header'
      : `paging: ${code(paging)},`,
    ...empty === undefined ? [] : [`empty: ${code(empty)}, // what it answers after its last page`],
    ...time === undefined ? [] : [
      "// only changes since the last run, if the source has a parameter for it:",
      comment(
        `since: { field: ${code(time.path)}, from: ${
          code(time.first)
        }, send: { PARAMETER: "{}" }, overlap: "5m" },`,
      ),
    ],
  ];
  return [
    `// Written by deno task etl new, from ${records.length} records. Look at what is NOT SURE, then: deno task etl try ${name}`,
    'import { z } from "zod";',
    `import { ${uses.join(", ")} } from "etl";`,
    "",
    "export default pipeline({",
    `name: ${code(name)},`,
    'schedule: "off", // a cron pattern, such as "0 3 * * *"',
    "record: z.object({",
    ...lines,
    "}),",
    key === undefined
      ? 'key: "unknown" as never, // NOT SURE: no field tells the records apart'
      : `key: ${code(key)}, // another value in each of the ${records.length} records seen`,
    "source: {",
    ...source,
    "},",
    ...mask.length > 0 ? [`mask: ${code(mask)}, // they look personal`] : [],
    'load: "upsert",',
    "});",
    "",
  ].join("\n");
}

async function formatted(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "ts", "--line-width", "110", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout } = await child.output();
  return success ? new TextDecoder().decode(stdout) : text;
}

export const newPipeline: Command = async ({ words: [url], options, signal, readEnv }) => {
  if (url === undefined) {
    throw new UsageError("Which source? Give the address at which it lists its records.");
  }
  const drafted = await draft(url, { name: options.name, headers: options.header, readEnv, signal });
  const path = join(pipelinesDir(readEnv("PIPELINES_DIR")), `${drafted.name}.ts`);
  const shown = relative(Deno.cwd(), path);
  try {
    await Deno.writeTextFile(path, await formatted(drafted.text), { createNew: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new UsageError(
      `${shown} is there already, and was left as it is. Give another name: --name ${
        basename(path, ".ts")
      }_2`,
    );
  }
  say(`${shown}: written after ${drafted.requests} requests, paging ${drafted.paging?.by ?? "unknown"}`);
  for (const doubt of drafted.doubts) say(`  NOT SURE: ${doubt}`);
  if (!drafted.isUsable) {
    say("It can't be used yet: complete what is marked in it, then: deno task check");
    return EXIT.failed;
  }
  say(`Next: deno task etl try ${drafted.name}`);
  return EXIT.ok;
};
