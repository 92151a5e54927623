import assert from "node:assert/strict";
import { join } from "node:path";
import { programPath } from "../cli/services.ts";
import { loadPipelines } from "../shared/pipeline/load.ts";

/** The code around an example that is only part of a definition. */
const BASE = `import { z } from "zod";
import { env, integer, pipeline, secret } from "etl";
void [env, secret];
const record = z.object({
  id: integer,
  email: z.email(),
  country: z.string(),
  address: z.object({ street: z.string() }),
  changed_at: z.iso.datetime(),
});
const BASE = { record, key: "id", source: { url: "https://x.example.org", paging: { by: "none" } } } as const;
`;

Deno.test("each example of docs/pipelines.md passes the type checker and loads", async () => {
  const text = await Deno.readTextFile(programPath("docs/pipelines.md"));
  const blocks = [...text.matchAll(/^```ts( part)?\n([\s\S]*?)^```$/gm)];
  assert.ok(blocks.length > 12, `only ${blocks.length} examples were found`);
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, "regions.csv"), "country,region\nES,EU\n");
    const files: string[] = [];
    for (const [at, [, part, code]] of blocks.entries()) {
      const name = `example_${at}`;
      const whole = part === undefined
        ? code!.replace(/name: "\w+"/, `name: "${name}"`)
        : `${BASE}export default pipeline({ ...BASE, name: "${name}",\n${
          code!.replace('folder: "people"', `folder: "${name}"`)
        }});\n`;
      files.push(join(folder, `${name}.ts`));
      await Deno.writeTextFile(files.at(-1)!, whole);
    }
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", "--config", programPath("deno.json"), ...files],
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const { plans, broken } = await loadPipelines(folder);
    assert.deepEqual([...broken], []);
    assert.equal(plans.size, blocks.length);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
