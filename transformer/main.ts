/**
 * The transformer service.
 *
 * @module
 */
import { runActor } from "../shared/actor/run_actor.ts";
import { HeardCancellations } from "../shared/actor/cancel.ts";
import { runService, runTogether, whenListening } from "../shared/actor/service.ts";
import { openChannel } from "../shared/channel/open.ts";
import { redisUrlOf } from "../shared/config/variables.ts";
import { Files } from "../shared/files/files.ts";
import { TransformerVariables } from "./config.ts";
import { usersPlan } from "../shared/pipeline/users.ts";
import { readLookups } from "./lookup.ts";
import { transformer } from "./transformer.ts";

if (import.meta.main) {
  await runService(
    "transformer",
    TransformerVariables,
    async (config, { use, signal, log }) => {
      const lookups = await readLookups(usersPlan, config.LOOKUP_FILE);
      const channel = use(await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH }));
      const cancellations = new HeardCancellations();
      const actor = transformer({ files: new Files(config.DATA_DIR), plan: usersPlan, lookups });
      await runTogether(
        signal,
        (signal) =>
          runActor(actor, channel, { signal, leaseMs: config.LEASE_SECONDS * 1_000, cancellations }),
        (signal) => cancellations.listen(channel, signal),
        (signal) =>
          whenListening(
            channel,
            [actor.mailbox],
            signal,
            () => log.info("ready", { lookup: lookups.added.map(({ path }) => path).join() }),
          ),
      );
    },
  );
}
