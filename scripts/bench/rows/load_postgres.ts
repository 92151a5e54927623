import { openStore } from "../../../shared/store/open.ts";
import { LocalFiles } from "../../../shared/files/local.ts";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { startPostgres } from "../../../tests/support/postgres.ts";
import { usersTables } from "../../../tests/support/store.ts";
import { runFiles } from "../fixtures.ts";
import { costOf, inTurn } from "../measure.ts";
import { shell } from "../programs.ts";
import type { Row } from "../table.ts";

/** The load of a raw file into PostgreSQL, against `psql`'s `\copy` of the same rows. */
export const loadPostgres: Row = {
  name: "load-postgres",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const { raw } = await runFiles(environment, users);
    await using server = await startPostgres();
    const url = await server.createDatabase();
    await using store = await openStore({ url }, usersTables([]));
    const files = new LocalFiles("data");
    const rows = await Deno.makeTempFile({ suffix: ".tsv" });
    try {
      await shell(
        `awk '{ gsub(/\\\\/, "\\\\\\\\"); printf "%.0f\\t%s\\n", 5000000000000000 + NR, $0 }' "${raw.name}" > "${rows}"`,
      );
      const found = await inTurn(turns, async () => {
        await server.psql("TRUNCATE raw_records", new URL(url).pathname.slice(1));
        return await shell(`psql -X -q '${url}' -c "\\\\copy raw_records (id, json) from '${rows}'"`);
      }, async () => {
        await server.psql("TRUNCATE raw_records", new URL(url).pathname.slice(1));
        return await costOf(async () => {
          await store.loadFile(
            { runId: newRunId(), pipeline: "users", kind: "raw", name: raw.name },
            (onEnd) => files.lines(raw.name, { onEnd }),
          );
        });
      });
      yield {
        what: `load a raw file of ${users} records into PostgreSQL, against \\copy`,
        ...found,
        unit: "x",
        target: { atMost: 1.5 },
      };
    } finally {
      await Deno.remove(rows);
    }
  },
};
