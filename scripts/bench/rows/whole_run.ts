import { newRunId } from "../../../shared/contracts/ids.ts";
import type { Environment } from "../../../cli/services.ts";
import { PAGE } from "../baselines.ts";
import type { BenchEnvironment } from "../environment.ts";

const SERVICES = ["extractor", "transformer", "saver"] as const;

/**
 * A whole run over `users` through three new services, with further variables, and an SFTP server: its cost, and the
 * peak memory of each service. For the saver it is the proportional set size, as for the API: most pages of the `deno`
 * program itself are shared.
 */
export async function wholeRun(environment: BenchEnvironment, users: number, more: Environment = {}) {
  const url = await environment.source(users);
  const { folder, env } = await environment.delivery();
  const variables = { API_BASE_URL: url, BATCH_SIZE: `${PAGE}`, ...env, ...more };
  await using setup = environment.setup(variables, { ownFiles: true });
  const programs = [];
  for (const service of SERVICES) programs.push(await setup.start(service));
  const order = { run_id: newRunId(), requested_by: "bench" };
  const ended = new AbortController();
  const saverPeak = programs[2]!.peakPss(ended.signal);
  const cost = await setup.costOf("DELIVERING", "channel:start_run", order, ...programs)
    .finally(() => ended.abort());
  await Deno.remove(folder, { recursive: true });
  const peaks = [
    ...await Promise.all(programs.slice(0, 2).map(async (program) => (await program.memory()).peak)),
    await saverPeak,
  ];
  return { ...cost, peaks: SERVICES.map((service, i) => ({ service, peak: peaks[i]! })) };
}
