import { curlPages, jqTransform, sftpPut, sqliteImport } from "../baselines.ts";
import { namesOf, runFiles } from "../fixtures.ts";
import { inTurn, spreadOf } from "../measure.ts";
import type { Row } from "../table.ts";
import { wholeRun } from "./whole_run.ts";

/** Records per second of the original, end to end; measured once on a machine of this kind, and not run here. */
const ORIGINAL = 475;

/** A whole run, every file verified by its content, against the machine's tools one after the other. */
export const endToEnd: Row = {
  name: "end-to-end",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const url = await environment.source(users);
    const files = await runFiles(environment, users);
    await curlPages(url, users); // the source generates its users at the first request
    const times: number[] = [];
    const found = await inTurn(turns, async () => {
      const costs = [
        await curlPages(url, users),
        await jqTransform(files.raw.name),
        await sqliteImport(namesOf(files)),
        await sftpPut(environment, namesOf(files)),
      ];
      return costs.reduce((a, b) => ({ seconds: a.seconds + b.seconds, cpu: a.cpu + b.cpu }));
    }, async () => {
      const cost = await wholeRun(environment, users);
      times.push(users / cost.seconds / ORIGINAL);
      return cost;
    });
    yield { what: `end to end, ${users} users`, ...found, unit: "x", target: { atMost: 1 } };
    yield {
      what: "end to end, times the original",
      figure: spreadOf(times),
      unit: "x",
      target: { atLeast: 40 },
    };
  },
};
