import assert from "node:assert/strict";
import { join } from "node:path";
import users from "../../pipelines/users.ts";
import { programPath } from "../../cli/services.ts";
import { startPipeline } from "../support/test_pipeline.ts";

Deno.test("from a source's address to verified rows it takes four commands, and less than a minute", async () => {
  await using pipeline = await startPipeline({
    users: 250,
    env: { PIPELINES_DIR: "pipelines" },
    async furnish(folder) {
      await Deno.mkdir(join(folder, "pipelines"));
      for (const name of ["users.ts", "departments.csv"]) {
        await Deno.copyFile(join(programPath("pipelines"), name), join(folder, "pipelines", name));
      }
    },
  });
  const begun = performance.now();
  const run = async (name: string, ...args: string[]) => {
    const { code, stdout, stderr } = await pipeline.task(name, ...args);
    assert.equal(code, 0, `${name} ${args.join(" ")}: ${stdout}${stderr}`);
    return stdout;
  };
  assert.match(await run("etl", "new", pipeline.source.url, "--name", "clients"), /paging offset/);
  assert.match(await run("etl", "try", "clients"), /100 valid, 0 invalid, 250 announced; a next page/);
  assert.match(await run("run", "clients"), /COMPLETED: 250 valid, 0 invalid/);
  assert.match(await run("verify", "--run", "latest"), /everything matches/);
  const seconds = (performance.now() - begun) / 1_000;
  assert.ok(seconds < 60, `${seconds} s`);

  const { default: { mask } } = await import(join(pipeline.folder, "pipelines", "clients.ts"));
  const isMasked = (path: string) =>
    mask.some((masked: string) => path === masked || path.startsWith(`${masked}.`));
  assert.deepEqual(users.mask!.filter((path) => !isMasked(path)), []);
});
