import { sqliteImport } from "../baselines.ts";
import { runFiles } from "../fixtures.ts";
import { inTurn } from "../measure.ts";
import type { Row } from "../row.ts";
import { loadOrder, phaseOf } from "../runs.ts";

/** The saver's load of the three files of a run, against `sqlite3`'s import. */
export const load: Row = {
  name: "load",
  async *measure(environment) {
    const { turns } = environment.scale;
    const users = environment.scale.users * 1.5; // twice in the files: 300,000 rows for 100,000 users
    const { raw, processed, dead } = await runFiles(environment, users);
    const { baseline, ours, ratio, cpuRatio } = await inTurn(turns, {
      label: "sqlite3 .import",
      run: () => sqliteImport([raw.name, processed.name, dead.name]),
    }, {
      label: "saver",
      async run() {
        await using stage = environment.stage();
        const saver = await stage.start("saver");
        const channel = await stage.channel();
        const { runId, message } = loadOrder({ raw, processed, dead });
        return await saver.costOf(() => phaseOf(channel, runId, "LOADING", message));
      },
    });
    yield {
      what: `load three files, ${users * 2} rows`,
      baseline,
      ours,
      figure: ratio,
      cpuRatio,
      unit: "x",
      target: { atMost: 1 },
    };
  },
};
