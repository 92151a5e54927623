import { sftpPut } from "../baselines.ts";
import { namesOf, orderToLoad, runFiles } from "../fixtures.ts";
import { inTurn } from "../measure.ts";
import type { Row } from "../table.ts";

/** The courier's delivery of a run's three files, against OpenSSH's client, which verifies nothing. */
export const deliver: Row = {
  name: "deliver",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const files = await runFiles(environment, users);
    const order = orderToLoad(files);
    await using loaded = environment.setup();
    {
      await using _saver = await loaded.start("saver");
      await loaded.costOf("DELIVERING", "channel:phase2_complete", order);
    }
    for (const [verify, atMost] of [["size", 1], ["content", 1.8]] as const) {
      const found = await inTurn(turns, () => sftpPut(environment, namesOf(files)), async () => {
        const { folder, env } = await environment.delivery();
        const { DB_PATH } = loaded.env;
        await using setup = environment.setup({ ...env, DB_PATH, SFTP_VERIFY: verify });
        const saver = await setup.start("saver");
        const cost = await setup.costOf("DELIVERING", "channel:deliver", { run_id: order.run_id }, saver);
        await Deno.remove(folder, { recursive: true });
        return cost;
      });
      yield { what: `deliver, SFTP_VERIFY=${verify}`, ...found, unit: "x", target: { atMost } };
    }
  },
};
