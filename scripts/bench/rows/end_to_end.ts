import { curlPages, jqTransform, PAGE, sftpPut, sqliteImport } from "../baselines.ts";
import { runFiles } from "../fixtures.ts";
import { type Cost, inTurn, spreadOf, sumOf } from "../measure.ts";
import type { Row } from "../row.ts";
import { phaseOf, startRun } from "../runs.ts";

/** What the original needs for a record, end to end, in records a second; it was measured on such a machine, and isn't run here. */
const ORIGINAL = 475;

/** A whole run through three services and an SFTP server, against the machine's tools one after the other. */
export const endToEnd: Row = {
  name: "end-to-end",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const url = await environment.source(users);
    const { raw, processed, dead } = await runFiles(environment, users);
    const sftp = await environment.sftp();
    const names = [raw.name, processed.name, dead.name];
    await curlPages(url, users); // the source makes its users when they are first asked for
    const costs: Cost[] = [];
    const { baseline, ours, ratio, cpuRatio } = await inTurn(turns, {
      label: "curl + jq + sqlite3 + sftp",
      async run() {
        return sumOf([
          await curlPages(url, users),
          await jqTransform(raw.name),
          await sqliteImport(names),
          await sftpPut(sftp, names),
        ]);
      },
    }, {
      label: "extractor, transformer, saver",
      async run(turn) {
        const folder = `${sftp.server.home}/run-${turn}`;
        await using stage = environment.stage({
          API_BASE_URL: url,
          BATCH_SIZE: `${PAGE}`,
          ...await environment.delivery(folder),
        }, { ownFiles: true });
        const [extractor, transformer, saver] = [
          await stage.start("extractor"),
          await stage.start("transformer"),
          await stage.start("saver"),
        ];
        const channel = await stage.channel();
        const { runId, message } = startRun();
        const inTransformer = await transformer.cpu();
        const inSaver = await saver.cpu();
        const cost = await extractor.costOf(() => phaseOf(channel, runId, "DELIVERING", message));
        const others = await transformer.cpu() - inTransformer + await saver.cpu() - inSaver;
        costs.push(cost);
        await Deno.remove(folder, { recursive: true });
        return { seconds: cost.seconds, cpu: cost.cpu! + others };
      },
    });
    yield {
      what: `end to end, ${users} users`,
      baseline,
      ours,
      figure: ratio,
      cpuRatio,
      unit: "x",
      target: { atMost: 1 },
      note: "every file verified by its content",
    };
    yield {
      what: "end to end, times the original",
      figure: spreadOf(costs.map(({ seconds }) => users / seconds / ORIGINAL)),
      unit: "x",
      target: { atLeast: 40 },
      note: `the original: ${ORIGINAL} records/s, measured once on a machine of this kind`,
    };
  },
};
