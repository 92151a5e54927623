import { newRunId } from "../../../shared/contracts/ids.ts";
import { curlPages, PAGE } from "../baselines.ts";
import { inTurn } from "../measure.ts";
import type { Row } from "../table.ts";

/** The extractor over all pages of a loopback source, against `curl`. */
export const extract: Row = {
  name: "extract",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const url = await environment.source(users);
    await curlPages(url, users); // the source generates its users at the first request
    const found = await inTurn(turns, () => curlPages(url, users), async () => {
      const variables = { API_BASE_URL: url, BATCH_SIZE: `${PAGE}` };
      await using setup = environment.setup(variables, { ownFiles: true });
      const order = { run_id: newRunId(), requested_by: "bench" };
      return await setup.costOf("EXTRACTING", "channel:start_run", order, await setup.start("extractor"));
    });
    yield { what: `extract ${users} users`, ...found, unit: "x", target: { atMost: 1.5 } };
  },
};
