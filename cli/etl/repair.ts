/**
 * `repair`: invalid records as JSON lines in the editor (or from a file, or with one field set in all), validated and
 * replayed.
 */
import type { GraphqlClient } from "../../api/client/graphql.ts";
import {
  type InvalidRecord,
  type RecordPatch,
  REPLAY,
  type Rule,
  RULES,
  type Run,
} from "../../api/client/operations.ts";
import {
  type Draft,
  draftOf,
  editable,
  isLine,
  MOST_AT_ONCE,
  patchOf,
  recordOf,
  uncorrected,
  withField,
} from "../../api/client/repair.ts";
import type { JsonObject } from "../../shared/pipeline/problems.ts";
import { messageOf } from "../../shared/errors/errors.ts";
import { parseExact } from "../../shared/pipeline/exact_json.ts";
import { complain, EXIT, say, UsageError } from "../command_line.ts";
import { confirmOr, Failed, findRun, listed, type Work } from "./command.ts";
import { followRun } from "./follow.ts";

export async function repair(work: Work): Promise<number> {
  const { api, words, options } = work;
  const run = await findRun(api, words[0]);
  const records = await uncorrected(api, run.runId, options.reason);
  if (records.length === 0) throw new Failed(`Run ${run.id} has no such record that isn't corrected yet.`);
  const patches = options.set.length > 0
    ? setInAll(records, options.set, (await api.ask(RULES, { name: run.pipeline })).pipeline?.fields ?? [])
    : options.from === undefined
    ? await fromEditor(records, work)
    : patchesOf(records, await textOfFile(options.from));
  if (records.length === MOST_AT_ONCE) {
    complain(
      `These are the first ${MOST_AT_ONCE} records that aren't corrected yet. Repeat the command for more.`,
    );
  }
  if (patches.length === 0) {
    complain("Nothing was changed, so nothing is replayed.");
    return EXIT.ok;
  }
  const valid = await check(work, run, records, patches);
  if (options.check) return valid ? EXIT.ok : EXIT.failed;
  confirmOr(options.yes, `Send ${patches.length} corrected record(s) of run ${run.id} through the pipeline?`);
  const { runId } = await replay(api, run, patches, false);
  if (!options.json) say(`correction run ${runId}`);
  return await followRun(work, runId!);
}

/** A line for each record, its id first. Fields that read `***` keep their values. */
function linesOf(records: readonly InvalidRecord[]): string {
  return records.map(({ id, data }) =>
    `${JSON.stringify({ $id: id, ...(isLine(data) ? { $text: editable(data) } : recordOf(data)) })}\n`
  ).join("");
}

/** The corrections of edited records. @throws UsageError for unusable lines. */
function patchesOf(records: readonly InvalidRecord[], text: string): RecordPatch[] {
  const known = new Map(records.map((record) => [record.id, record]));
  return text.split("\n").flatMap((line, at) => {
    if (line.trim() === "") return [];
    const wrong = (what: string) => new UsageError(`Cannot use line ${at + 1}: ${what}.`);
    let typed: JsonObject;
    try {
      typed = parseExact(line) as JsonObject;
    } catch (error) {
      throw wrong(messageOf(error));
    }
    const { $id, $text, ...record } = typed ?? {};
    const { id, data } = known.get(String($id)) ?? {};
    if (id === undefined || data === undefined) {
      throw wrong(`its $id ${JSON.stringify($id ?? null)} is none of the records`);
    }
    const draft = draftOf(data, isLine(data) ? String($text ?? "") : JSON.stringify(record));
    return draft === undefined ? [] : [patchOf(id, draft)];
  });
}

function setInAll(
  records: readonly InvalidRecord[],
  settings: readonly string[],
  rules: readonly Rule[],
): RecordPatch[] {
  return records.filter(({ data }) => !isLine(data)).flatMap(({ id, data }) => {
    const draft = settings.reduce<Draft | undefined>((draft, setting) => {
      const [, field, value] = /^([^=]+)=(.*)$/s.exec(setting) ?? [];
      if (field === undefined || value === undefined) {
        throw new UsageError(`Cannot set ${JSON.stringify(setting)}: wanted FIELD=VALUE.`);
      }
      return withField(data, draft, field, valueOf(rules.find((rule) => rule.field === field), value));
    }, undefined);
    return draft === undefined ? [] : [patchOf(id, draft)];
  });
}

/** Text if the field's rule expects text; else the text's JSON value, if it has one. */
function valueOf(rule: Rule | undefined, text: string): unknown {
  if (rule?.kind === "string" || rule?.kind === "email") return text;
  try {
    const value: unknown = JSON.parse(text);
    return value === Infinity || value === -Infinity ? text : value; // JSON can't write these
  } catch {
    return text;
  }
}

/** Unusable edited text stays in its file. */
async function fromEditor(records: readonly InvalidRecord[], { editor }: Work): Promise<RecordPatch[]> {
  const file = await Deno.makeTempFile({ prefix: "etl-repair-", suffix: ".jsonl" });
  await Deno.writeTextFile(file, linesOf(records));
  const [program, ...args] = editor.split(/\s+/).filter((word) => word !== "");
  const status = await runEditor(program!, [...args, file]).catch(async (error) => {
    await Deno.remove(file);
    throw new UsageError(
      `Cannot start the editor ${JSON.stringify(editor)}: ${
        messageOf(error)
      }. Set EDITOR to a program, or use --from.`,
    );
  });
  if (!status.success) throw new Failed(`${editor} ended with ${status.code}. What was typed is in ${file}.`);
  try {
    const patches = patchesOf(records, await Deno.readTextFile(file));
    await Deno.remove(file);
    return patches;
  } catch (error) {
    throw new UsageError(
      `${messageOf(error)} Your text is in ${file}: correct it, and use --from.`,
    );
  }
}

async function runEditor(program: string, args: string[]): Promise<Deno.CommandStatus> {
  return await new Deno.Command(program, { args }).spawn().status;
}

async function textOfFile(name: string): Promise<string> {
  if (name === "-") return await new Response(Deno.stdin.readable).text();
  try {
    return await Deno.readTextFile(name);
  } catch (error) {
    throw new UsageError(
      `Cannot read ${JSON.stringify(name)}: ${
        messageOf(error)
      }. Give --from a file with corrected records, or - for standard input.`,
    );
  }
}

/** Returns whether all are valid. */
async function check(
  { api, options: { json } }: Work,
  run: Run,
  records: readonly InvalidRecord[],
  patches: readonly RecordPatch[],
): Promise<boolean> {
  const { verdicts = [] } = await replay(api, run, patches, true);
  const line = new Map(records.map((record) => [record.id, record.line]));
  listed(json, verdicts, {
    line: ({ recordId }) => line.get(recordId),
    verdict: ({ valid, problems }) => valid ? "valid" : problems.join("; "),
  });
  return verdicts.every(({ valid }) => valid);
}

async function replay(api: GraphqlClient, { runId }: Run, patches: readonly RecordPatch[], dryRun: boolean) {
  const { replayInvalidRecords: answer } = await api.ask(REPLAY, { runId, patches, dryRun });
  if (answer.verdicts === undefined) throw new Failed(answer.message ?? answer.__typename);
  return answer;
}
