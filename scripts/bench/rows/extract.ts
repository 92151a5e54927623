import { curlPages, PAGE } from "../baselines.ts";
import { inTurn } from "../measure.ts";
import type { Row } from "../row.ts";
import { phaseOf, startRun } from "../runs.ts";

/** The extractor over all pages of a loopback source, against `curl`. */
export const extract: Row = {
  name: "extract",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const url = await environment.source(users);
    await curlPages(url, users); // the source makes its users when they are first asked for
    const { baseline, ours, ratio, cpuRatio } = await inTurn(turns, {
      label: "curl, pages to files",
      run: () => curlPages(url, users),
    }, {
      label: "extractor",
      async run() {
        await using stage = environment.stage({ API_BASE_URL: url, BATCH_SIZE: `${PAGE}` }, {
          ownFiles: true,
        });
        const extractor = await stage.start("extractor");
        const channel = await stage.channel();
        const { runId, message } = startRun();
        return await extractor.costOf(() => phaseOf(channel, runId, "EXTRACTING", message));
      },
    });
    yield {
      what: `extract ${users} users`,
      baseline,
      ours,
      figure: ratio,
      cpuRatio,
      unit: "x",
      target: { atMost: 1.5 },
    };
  },
};
