/** Loads the definitions of a folder, with every problem of each. */
import { basename, join, posix, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as z from "zod";
import { ConfigError, messageOf, PermanentError } from "../errors/errors.ts";
import { mistakesOf, NAME, NAME_WANTED } from "./definition.ts";
import "./mod.ts"; // the definitions import it: an already loaded module needs no permission to be read
import { isObject } from "./problems.ts";
import { type AnyPipeline, type Plan, planOf } from "./plan.ts";

/** The pipelines of an installation. A broken definition disables only its own pipeline. */
export interface Pipelines {
  /** By name, in alphabetical order. */
  readonly plans: ReadonlyMap<string, Plan>;
  /** Unusable definitions by file name: all their problems, each with file and path of the key. */
  readonly broken: ReadonlyMap<string, readonly string[]>;
  /** The folder of the definitions, if they were loaded from one. */
  readonly dir?: string | undefined;
}

/** Whether the folder has a definition with this name that `pipelines` lacks: it was written after they were loaded. */
export function isNewer({ dir, plans, broken }: Pipelines, name: string): boolean {
  if (dir === undefined || plans.has(name) || broken.has(name) || !NAME.test(name)) return false;
  try {
    return Deno.statSync(join(dir, `${name}.ts`)).isFile;
  } catch {
    return false;
  }
}

/** The folder of definitions: `given`, relative to the working directory, or the program's own. */
export function pipelinesDir(given?: string): string {
  return given === undefined ? fileURLToPath(new URL("../../pipelines", import.meta.url)) : resolve(given);
}

/**
 * Loads the `*.ts` files of `dir`, without sub-folders.
 *
 * @throws ConfigError when the folder can't be read.
 */
export async function loadPipelines(dir: string): Promise<Pipelines> {
  const files: string[] = [];
  try {
    for await (const { name, isFile } of Deno.readDir(dir)) {
      if (isFile && name.endsWith(".ts")) files.push(name);
    }
  } catch (error) {
    throw new ConfigError("the pipelines", [
      `the folder ${JSON.stringify(dir)} can't be read (${
        messageOf(error)
      }): PIPELINES_DIR names the folder of definitions`,
    ]);
  }
  const plans = new Map<string, Plan>();
  const broken = new Map<string, readonly string[]>();
  const folders = new Map<string, string>(); // delivery folder -> its pipeline
  const loaded = await Promise.all(files.sort().map(async (file) => ({ file, ...await load(dir, file) })));
  for (const { file, definition, problems } of loaded) {
    const found = [...problems];
    if (definition !== undefined && found.length === 0) {
      const folder = deliveryFolder(definition);
      const other = folder === undefined ? undefined : folders.get(folder);
      if (other !== undefined) {
        found.push(
          `deliver.folder: ${JSON.stringify(folder)}: is the folder of ${other} too: wanted one of its own`,
        );
      } else if (folder !== undefined) folders.set(folder, definition.name);
    }
    const name = basename(file, ".ts");
    if (found.length > 0) broken.set(name, found.map((problem) => `${file}: ${problem}`));
    else plans.set(name, planOf(definition!, z.compile));
  }
  return { plans, broken, dir };
}

/** The folder on the server for a pipeline's files; undefined if they aren't delivered. */
export function deliveryFolder({ name, deliver }: Pick<AnyPipeline, "name" | "deliver">): string | undefined {
  return deliver === "none" ? undefined : posix.join(deliver?.folder ?? name, ".").replace(/\/$/, "");
}

/** @throws PermanentError naming the existing pipelines, or the problems of the definition. */
export function planFor(pipelines: Pipelines, name: string): Plan {
  const { plans, broken } = pipelines;
  const plan = plans.get(name);
  if (plan !== undefined) return plan;
  const problems = broken.get(name);
  if (isNewer(pipelines, name)) {
    throw new PermanentError(
      `The definition of the pipeline "${name}" was written after this service had read them all, which it does once. ` +
        `Start the services again, and replay the dead letter.`,
    );
  }
  throw new PermanentError(
    problems === undefined
      ? `There is no pipeline "${name}", wanted one of ${[...plans.keys()].join(", ")}. ` +
        `Put its definition into the pipelines' folder, start the services again, and replay the dead letter.`
      : `The definition of the pipeline "${name}" can't be used: ${problems.join("; ")}. ` +
        `Correct it, start the services again, and replay the dead letter.`,
  );
}

async function load(
  dir: string,
  file: string,
): Promise<{ definition?: AnyPipeline; problems: readonly string[] }> {
  const path = join(dir, file);
  let definition: unknown;
  try {
    const others = importsOf(await Deno.readTextFile(path)).filter((name) =>
      name !== "zod" && name !== "etl"
    );
    if (others.length > 0) {
      return { problems: others.map((name) => `imports ${JSON.stringify(name)}: wanted zod and etl alone`) };
    }
    const module = await import(pathToFileURL(path).href);
    if (!("default" in module)) {
      return { problems: ["no default export: wanted export default pipeline({ … })"] };
    }
    definition = module.default;
  } catch (error) {
    const [text, ...more] = messageOf(error).split("\n");
    const [, line] = /:(\d+):\d+$/.exec(more.at(-1) ?? "") ?? []; // in a text that can't be parsed
    return { problems: [`can't be loaded: ${text}${line === undefined ? "" : `, in line ${line}`}`] };
  }
  const problems = mistakesOf(definition).map(({ path, text }) =>
    path.length === 0 ? text : `${path.map(String).join(".")}: ${text}`
  );
  if (isObject(definition)) {
    problems.push(...nameProblems(definition.name, basename(file, ".ts")));
    if (problems.length === 0) {
      problems.push(...await lookupProblems(definition as unknown as AnyPipeline, dir));
    }
  }
  return { definition: definition as AnyPipeline, problems };
}

/** The imports in a module's text. */
function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const fixed = code.matchAll(/^\s*(?:import|export)\b(?:[^"';]*?\bfrom)?\s*["']([^"'\n]+)["']/gm);
  const dynamic = code.matchAll(/\bimport\s*\(\s*["'`]?([^"'`)\n]*)/g);
  return [...fixed, ...dynamic].map(([, name]) => name!);
}

/** Tables of the store and files of the state, and prefixes of such tables. */
const TAKEN =
  /^(raw|processed|invalid|run|record|pipeline|etl|sqlite|pg|deliveries)_|_changes$|^(pipelines|runs|events|records|changes|deliveries|holds|holds_by_pipeline|leases|notifications|watched_schedules|extractor_state|schedule)$/;
/** Names that SQLite or PostgreSQL accept only in quotes. */
const WORDS = new Set(
  ("add all alter analyse analyze and any array as asc asymmetric authorization begin between binary both by case cast " +
    "check collate collation column commit concurrently constraint create cross current current_catalog current_date " +
    "current_role current_schema current_time current_timestamp current_user default deferrable delete desc distinct do " +
    "drop else end escape except exists explain false fetch filter for foreign freeze from full glob grant group having if " +
    "ilike in index initially inner insert intersect into is isnull join key lateral leading left like limit localtime " +
    "localtimestamp match natural no not nothing notnull null of offset on only or order outer over overlaps partition " +
    "placing pragma primary range references reindex rename replace returning right rollback row rows select session_user " +
    "set similar some symmetric system_user table tablesample then to trailing transaction trigger true union unique update " +
    "user using vacuum values variadic verbose view virtual when where window with without").split(" "),
);

export function problemsOfName(name: string): string[] {
  if (!NAME.test(name)) return [NAME_WANTED];
  if (TAKEN.test(name)) {
    return ["is taken by a table of the store or a file of the state: wanted another name"];
  }
  return WORDS.has(name) ? ["is a word of SQL: wanted another name"] : [];
}

function nameProblems(name: unknown, fileName: string): string[] {
  if (typeof name !== "string" || !NAME.test(name)) return [];
  const problems = name === fileName
    ? problemsOfName(name)
    : [`wanted the file's name, ${JSON.stringify(fileName)}: another file may have this one`];
  return problems.map((problem) => `name: ${JSON.stringify(name)}: ${problem}`);
}

/** Checks that the lookup files that the definition names directly exist and have the columns. */
async function lookupProblems({ add = {} }: AnyPipeline, dir: string): Promise<string[]> {
  const found: string[] = [];
  for (const [member, { lookup, key, value }] of Object.entries(add)) {
    if (typeof lookup !== "string") continue; // named by the environment
    const problem = (text: string) => found.push(`add.${member}.lookup: ${JSON.stringify(lookup)}: ${text}`);
    try {
      const [head = ""] = (await Deno.readTextFile(join(dir, lookup))).split(/\r\n?|\n/, 1);
      const columns = head.replace(/^\ufeff/, "").split(",").map((name) =>
        name.trim().replace(/^"(.*)"$/, "$1")
      );
      if (columns.join().toLowerCase() !== `${key},${value}`.toLowerCase()) {
        problem(`begins with ${JSON.stringify(head)}: wanted the columns ${key},${value}`);
      }
    } catch (error) {
      problem(`can't be read (${messageOf(error)}): wanted a CSV file in the definitions' folder`);
    }
  }
  return found;
}
