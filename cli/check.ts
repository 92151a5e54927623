import { loadConfig } from "../shared/config/config.ts";
import { PipelineVariables } from "../shared/config/variables.ts";
import { ConfigError } from "../shared/errors/errors.ts";
import { loadPipelines, pipelinesDir } from "../shared/pipeline/load.ts";
import type { Plan } from "../shared/pipeline/plan.ts";
import { type ReadEnv, resolved, variablesOf } from "../shared/pipeline/resolve.ts";
import { lookupPath, readLookup } from "../transformer/lookup.ts";
import { EXIT, runCommand, say, unknownPipeline } from "./command_line.ts";
import { readEnvironment } from "./env_file.ts";

const HELP = `deno task check [NAME]

Checks pipelines/*.ts, or one of them: definitions load, lookups are there, variables are set.
PIPELINES_DIR names another folder. .env is read too.
Exit codes: 0 all well; 1 something is wrong; 2 a name that doesn't exist, or a folder that can't be read.`;

/** What is wrong with a definition that loads. */
async function problemsOf({ definition }: Plan, dir: string, readEnv: ReadEnv): Promise<string[]> {
  const { problems } = resolved(definition, readEnv, "definition");
  for (const [member, { lookup, key, value }] of Object.entries(definition.add ?? {})) {
    try {
      await readLookup(await lookupPath(lookup, dir, readEnv), key, value);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems.map((problem) => `add.${member}.lookup: ${problem}`));
    }
  }
  return problems;
}

if (import.meta.main) {
  await runCommand({ help: HELP, words: 1 }, async ({ words: [only] }) => {
    const env = await readEnvironment();
    const readEnv = (name: string) => env[name];
    const dir = pipelinesDir(loadConfig("check", PipelineVariables, env).PIPELINES_DIR);
    const { plans, broken } = await loadPipelines(dir);
    const names = [...plans.keys(), ...broken.keys()].sort();
    if (only !== undefined && !names.includes(only)) throw unknownPipeline(only, names, ` in ${dir}`);
    let isValid = true;
    for (const name of only === undefined ? names : [only]) {
      const plan = plans.get(name);
      const problems = plan === undefined ? broken.get(name)! : await problemsOf(plan, dir, readEnv);
      if (problems.length > 0) isValid = false;
      if (plan === undefined || problems.length > 0) say(`${name}: ${problems.length} problem(s)`);
      else {
        const variables = variablesOf(plan.definition).join(", ");
        say(`${name}: ok, ${plan.rules.length} rules${variables && `, reads ${variables}`}`);
      }
      for (const problem of problems) say(`  - ${problem}`);
    }
    if (names.length === 0) say(`No definitions in ${dir}. deno task etl new URL writes one.`);
    return isValid ? EXIT.ok : EXIT.failed;
  });
}
