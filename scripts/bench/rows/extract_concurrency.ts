import { startSource } from "../../../local/source.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import type { BenchEnvironment } from "../environment.ts";
import { type Cost, inTurn } from "../measure.ts";
import type { Row } from "../table.ts";

const RECORDS = 10_000;

/** Eight pages at once against one, from a source that takes 100 ms for a page of 100 records. */
export const extractConcurrency: Row = {
  name: "extract-concurrency",
  async *measure(environment) {
    await using source = await startSource({ users: RECORDS, delayMs: 100 });
    await Deno.mkdir("concurrent", { recursive: true });
    for (const [name, concurrency] of [["one", 1], ["eight", 8]] as const) {
      await Deno.writeTextFile(`concurrent/${name}.ts`, definition(name, source.url, concurrency));
    }
    const found = await inTurn(
      environment.scale.turns,
      () => extracted(environment, "eight"),
      () => extracted(environment, "one"),
    );
    yield {
      what: `extract ${RECORDS} records, 100 ms a page of 100: one page at a time to eight`,
      ...found,
      unit: "x",
      target: { atLeast: 6 },
    };
  },
};

async function extracted(environment: BenchEnvironment, pipeline: string): Promise<Cost> {
  await using setup = environment.setup({ PIPELINES_DIR: "concurrent" }, { ownFiles: true });
  const order = { run_id: newRunId(), requested_by: "bench", pipeline };
  return await setup.costOf("EXTRACTING", "channel:start_run", order, await setup.start("extractor"));
}

function definition(name: string, url: string, concurrency: number): string {
  return `import * as z from "zod";
import { integer, pipeline } from "etl";

export default pipeline({
  name: "${name}",
  record: z.object({ id: integer }),
  key: "id",
  source: {
    url: "${url}",
    records: "users",
    concurrency: ${concurrency},
    paging: { by: "offset", offset: "skip", limit: "limit", size: 100, total: "total" },
  },
});
`;
}
