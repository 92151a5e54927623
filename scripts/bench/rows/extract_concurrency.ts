import { startSource } from "../../../local/source.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { compose } from "../../../shared/actor/message.ts";
import type { BenchEnvironment } from "../environment.ts";
import { spreadOf } from "../measure.ts";
import type { Row } from "../row.ts";
import { phaseOf } from "../runs.ts";

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
    const times: { one: number; eight: number }[] = [];
    for (let turn = 0; turn < environment.scale.turns; turn++) {
      times.push({ one: await seconds(environment, "one"), eight: await seconds(environment, "eight") });
    }
    const side = (label: string, name: "one" | "eight") => ({
      label,
      seconds: spreadOf(times.map((time) => time[name])),
    });
    yield {
      what: `extract ${RECORDS} records, 100 ms a page of 100`,
      baseline: side("1 page at a time", "one"),
      ours: side("8 pages at once", "eight"),
      figure: spreadOf(times.map(({ one, eight }) => one / eight)),
      unit: "x",
      target: { atLeast: 6 },
      note: "how many times as fast",
    };
  },
};

async function seconds(environment: BenchEnvironment, pipeline: string): Promise<number> {
  await using stage = environment.stage({ PIPELINES_DIR: "concurrent" }, { ownFiles: true });
  await stage.start("extractor");
  const runId = newRunId();
  const fields = { run_id: runId, requested_by: "bench", pipeline };
  const channel = await stage.channel();
  const start = performance.now();
  await phaseOf(channel, runId, "EXTRACTING", compose("channel:start_run", `bench/${runId}`, fields));
  return (performance.now() - start) / 1_000;
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
