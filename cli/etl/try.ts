import { ExtractorVariables } from "../../extractor/config.ts";
import { linesOf } from "../../extractor/page.ts";
import { firstPage } from "../../extractor/pages.ts";
import { valueAt } from "../../extractor/paths.ts";
import { patienceOf, sourceOf } from "../../extractor/source.ts";
import { loadConfig } from "../../shared/config/config.ts";
import { loadPipelines, pipelinesDir } from "../../shared/pipeline/load.ts";
import type { Plan } from "../../shared/pipeline/plan.ts";
import type { JsonObject, Problem } from "../../shared/pipeline/problems.ts";
import { MASKED, maskOf, touches } from "../../shared/store/mask.ts";
import { EXIT, print, say, unknownPipeline } from "../command_line.ts";
import { type Command, Failed } from "./command.ts";

const MOST_SHOWN = 5;

export const tryPipeline: Command = async ({ words: [name], options: { json }, signal, readEnv }) => {
  const dir = pipelinesDir(readEnv("PIPELINES_DIR"));
  const { plans, broken } = await loadPipelines(dir);
  const plan = plans.get(name ?? "");
  if (plan === undefined) {
    const problems = broken.get(name ?? "");
    if (problems !== undefined) throw new Failed(problems.join("\n"));
    throw unknownPipeline(name ?? "", [...plans.keys(), ...broken.keys()], ` in ${dir}`);
  }
  const names = Object.keys(ExtractorVariables);
  const config = loadConfig(
    "etl",
    ExtractorVariables,
    Object.fromEntries(names.map((name) => [name, readEnv(name)])),
  );
  using source = sourceOf(plan, { ...patienceOf(config), maxRetries: 0 }, readEnv);
  const page = await firstPage(source, signal);
  const lines = linesOf(page);
  let invalid = 0;
  for (const [at, line] of lines.entries()) {
    const verdict = plan.judgeLine(line);
    const problems = verdict.valid ? [] : verdict.problems;
    const key = keyOf(plan, verdict.record);
    if (problems.length > 0) invalid += 1;
    const shown = problems.map((problem) => shownOf(plan, problem));
    if (json) print({ key, valid: verdict.valid, problems: shown });
    else if (problems.length > 0 || at - invalid < MOST_SHOWN) {
      say(
        `${verdict.valid ? "valid  " : "INVALID"} ${key ?? `record ${at + 1}`}${
          shown.map((text) => `\n          ${text}`).join("")
        }`,
      );
    } else if (at - invalid === MOST_SHOWN) say("        …");
  }
  if (!json) {
    const { next, total, pages } = page.way;
    const announced = total === undefined
      ? pages === undefined ? "" : `, ${pages} pages announced`
      : `, ${total} announced`;
    say(
      `${lines.length - invalid} valid, ${invalid} invalid${announced}; ${
        next === undefined ? "no next page" : "a next page"
      }`,
    );
  }
  return invalid > 0 || lines.length === 0 ? EXIT.failed : EXIT.ok;
};

/** `***` if the key is personal. */
function keyOf({ definition: { key, mask = [] } }: Plan, record: JsonObject | undefined): unknown {
  const value = valueAt(record, key as string);
  return touches(maskOf(mask), key.split(".")) && value !== undefined ? MASKED : value;
}

/** The problem, without personal values. */
function shownOf({ definition: { mask = [] } }: Plan, { field, reason, message }: Problem): string {
  return touches(maskOf(mask), field.split(".")) ? reason : message;
}
