import assert from "node:assert/strict";
import { loadPipelines } from "../shared/pipeline/load.ts";
import { programPath } from "./services.ts";

const EXAMPLES = programPath("pipelines/examples");

async function check(args: string[], env: Record<string, string>): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "check", ...args],
    cwd: programPath("."),
    env,
  }).output();
  return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("check names the missing variables of a definition, and exits with 0 once they are set", async () => {
  const env = { PIPELINES_DIR: EXAMPLES, GITHUB_TOKEN: "", STRIPE_API_KEY: "x" };
  const { code, text } = await check([], env);
  assert.equal(code, 1);
  assert.match(text, /^github_issues: 1 problem\(s\)\n {2}- GITHUB_TOKEN is unset: wanted a secret/m);
  assert.match(text, /^charges: ok/m);
  assert.equal((await check(["charges"], env)).code, 0);
});

Deno.test("check refuses an unknown name, listing the known ones, and a missing folder", async () => {
  const { code, text } = await check(["chargse"], { PIPELINES_DIR: EXAMPLES });
  assert.equal(code, 2);
  assert.match(text, /There is no pipeline "chargse" in .*Known: charges, crossref, /);
  const none = await check([], { PIPELINES_DIR: `${EXAMPLES}/none` });
  assert.equal(none.code, 2);
  assert.match(none.text, /PIPELINES_DIR names the folder of definitions/);
});

Deno.test("each example loads, and is at most 35 lines", async () => {
  const { plans, broken } = await loadPipelines(EXAMPLES);
  assert.deepEqual([...broken], []);
  assert.deepEqual([...plans.keys()], ["charges", "crossref", "federal_register", "github_issues"]);
  for (const name of plans.keys()) {
    const lines = (await Deno.readTextFile(`${EXAMPLES}/${name}.ts`)).trimEnd().split("\n").length;
    assert.ok(lines <= 35, `${name}: ${lines}`);
  }
});
