import { sqliteImport } from "../baselines.ts";
import { namesOf, orderToLoad, runFiles } from "../fixtures.ts";
import { inTurn } from "../measure.ts";
import type { Row } from "../table.ts";

/** The saver's load of the three files of a run, against `sqlite3`'s import. */
export const load: Row = {
  name: "load",
  async *measure(environment) {
    const users = environment.scale.users * 1.5; // twice in the files: 300,000 rows for 100,000 users
    const files = await runFiles(environment, users);
    const found = await inTurn(environment.scale.turns, () => sqliteImport(namesOf(files)), async () => {
      await using setup = environment.setup();
      const saver = await setup.start("saver");
      return await setup.costOf("LOADING", "channel:phase2_complete", orderToLoad(files), saver);
    });
    yield { what: `load three files, ${users * 2} rows`, ...found, unit: "x", target: { atMost: 1 } };
  },
};
