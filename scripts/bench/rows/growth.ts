import { say } from "../../../cli/command_line.ts";
import { linearity, spreadOf } from "../measure.ts";
import type { Row } from "../table.ts";
import { wholeRun } from "./whole_run.ts";

/**
 * Whole runs over increasing numbers of users: time must grow linearly, and memory must stay constant. Services are new
 * for each size.
 */
export const growth: Row = {
  name: "growth",
  async *measure(environment) {
    const { users } = environment.scale;
    const sizes = [users / 10, users, users * 10];
    const runs: Awaited<ReturnType<typeof wholeRun>>[] = [];
    for (const size of sizes) {
      const run = await wholeRun(environment, size);
      say(`${size} users: ${run.seconds.toFixed(1)} s`);
      runs.push(run);
    }
    yield {
      what: `time over ${sizes.join(", ")} users`,
      figure: spreadOf([linearity(sizes.map((size, i) => [size, runs[i]!.seconds]))]),
      unit: "R²",
      target: { atLeast: 0.99 },
    };
    for (const [i, { service, peak }] of runs[2]!.peaks.entries()) {
      const what = `peak memory of the ${service}, ${users * 10}`;
      const target = { atMost: service === "saver" ? 200 : 150 };
      yield { what: `${what} users`, figure: spreadOf([peak]), unit: "MB", target };
      yield {
        what: `${what} to ${users} users`,
        figure: spreadOf([peak / runs[1]!.peaks[i]!.peak]),
        unit: "x",
        target: { atMost: 1.2 },
      };
    }
  },
};
