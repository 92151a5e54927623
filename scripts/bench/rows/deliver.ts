import { compose } from "../../../shared/actor/message.ts";
import { sftpPut } from "../baselines.ts";
import { runFiles } from "../fixtures.ts";
import { inTurn } from "../measure.ts";
import type { Row } from "../row.ts";
import { loadOrder, phaseOf } from "../runs.ts";
import { type BenchEnvironment, type Stage } from "../environment.ts";

/** The courier's delivery of a run's three files, against OpenSSH's client, which verifies nothing. */
export const deliver: Row = {
  name: "deliver",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const files = await runFiles(environment, users);
    const sftp = await environment.sftp();
    const names = [files.raw.name, files.processed.name, files.dead.name];
    await using stage = environment.stage();
    const runId = await loaded(stage, files);
    for (const [verify, atMost] of [["size", 1], ["content", 1.8]] as const) {
      const { baseline, ours, ratio, cpuRatio } = await inTurn(turns, {
        label: "sftp put",
        run: () => sftpPut(sftp, names),
      }, {
        label: `courier, SFTP_VERIFY=${verify}`,
        async run(turn) {
          const folder = `${sftp.server.home}/${verify}-${turn}`;
          await using delivering = await deliveringTo(environment, stage, folder, verify);
          const saver = await delivering.start("saver");
          const channel = await delivering.channel();
          const order = compose("channel:deliver", `bench/${verify}/${turn}`, { run_id: runId });
          const cost = await saver.costOf(() => phaseOf(channel, runId, "DELIVERING", order));
          await Deno.remove(folder, { recursive: true });
          return cost;
        },
      });
      yield {
        what: `deliver, SFTP_VERIFY=${verify}`,
        baseline,
        ours,
        figure: ratio,
        cpuRatio,
        unit: "x",
        target: { atMost },
      };
    }
  },
};

/** Loads the run into the stage's database. */
async function loaded(stage: Stage, files: Parameters<typeof loadOrder>[0]): Promise<string> {
  await using _saver = await stage.start("saver");
  const { runId, message } = loadOrder(files);
  await phaseOf(await stage.channel(), runId, "DELIVERING", message);
  return runId;
}

/** A stage with a queue of its own over the database of `stage`, which delivers into `folder`. */
async function deliveringTo(
  environment: BenchEnvironment,
  stage: Stage,
  folder: string,
  verify: string,
): Promise<Stage> {
  return environment.stage({
    DB_PATH: stage.env.DB_PATH,
    ...await environment.delivery(folder),
    SFTP_VERIFY: verify,
  });
}
