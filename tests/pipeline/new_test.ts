import assert from "node:assert/strict";
import { startPipeline } from "../support/test_pipeline.ts";

Deno.test("from an address to verified rows: the commands that the README shows, within 60 seconds", async () => {
  await using pipeline = await startPipeline({
    env: { PIPELINES_DIR: "pipelines" },
    furnish: (folder) => Deno.mkdir(`${folder}/pipelines`),
  });
  const begun = performance.now();
  const task = async (name: string, ...args: string[]) => {
    const { code, stdout, stderr } = await pipeline.task(name, ...args);
    assert.equal(code, 0, `${name} ${args.join(" ")}: ${stdout}${stderr}`);
    return stdout;
  };
  await task("etl", "new", new URL("/products", pipeline.source.url).href, "--name", "stock");
  assert.match(await task("etl", "try", "stock"), /^100 valid, 0 invalid, 194 announced; a next page$/m);
  assert.match(await task("check"), /^stock: ok/m);
  assert.match(await task("run", "stock"), /COMPLETED: 194 valid, 0 invalid$/m);
  assert.match(await task("verify", "--run", "latest"), /^Checked 1 run: everything matches\.$/m);
  assert.equal(pipeline.sql("SELECT id FROM processed_stock").length, 194);
  assert.ok(performance.now() - begun < 60_000);
  const definition = await Deno.readTextFile(`${pipeline.folder}/pipelines/stock.ts`);
  assert.match(definition, /mask: \["reviews"\]/, "what looks personal is masked");
  const again = await pipeline.task(
    "etl",
    "new",
    new URL("/products", pipeline.source.url).href,
    "--name",
    "stock",
  );
  assert.equal(again.code, 2);
  assert.equal(await Deno.readTextFile(`${pipeline.folder}/pipelines/stock.ts`), definition);
});
