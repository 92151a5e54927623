import { compose } from "../../../shared/actor/message.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { jqTransform } from "../baselines.ts";
import { rawFile } from "../fixtures.ts";
import { type Cost, inTurn, spreadOf } from "../measure.ts";
import type { Row } from "../row.ts";
import { phaseOf } from "../runs.ts";

/** The transformer over one raw file, in a process that has done nothing yet, against `jq`. */
export const transform: Row = {
  name: "transform",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const raw = await rawFile(environment, users);
    const costs: Cost[] = [];
    const { baseline, ours, ratio, cpuRatio } = await inTurn(turns, {
      label: "jq -c, same rules and field",
      run: () => jqTransform(raw.name),
    }, {
      label: "transformer",
      async run() {
        await using stage = environment.stage();
        const transformer = await stage.start("transformer");
        const channel = await stage.channel();
        const runId = newRunId();
        const message = compose("channel:phase1_complete", `bench/${runId}`, {
          run_id: runId,
          raw_file: raw.name,
          raw_sha256: raw.sha256,
          record_count: raw.records,
        });
        const cost = await transformer.costOf(() => phaseOf(channel, runId, "TRANSFORMING", message));
        costs.push(cost);
        return cost;
      },
    });
    yield {
      what: `transform ${users} users`,
      baseline,
      ours,
      figure: ratio,
      cpuRatio,
      unit: "x",
      target: { atMost: 0.25 },
    };
    yield {
      what: "transform, records a second",
      ours,
      figure: spreadOf(costs.map(({ seconds }) => users / seconds)),
      unit: "records/s",
      target: { atLeast: 60_000 },
      note: "first run of a fresh process",
    };
  },
};
