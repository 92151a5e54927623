import { runActor } from "../shared/actor/run_actor.ts";
import { HeardCancellations } from "../shared/actor/cancel.ts";
import { runService, runTogether, whenListening } from "../shared/actor/service.ts";
import { openChannel } from "../shared/channel/open.ts";
import { filesPlaceOf, redisUrlOf } from "../shared/config/variables.ts";
import { openFiles } from "../shared/files/open.ts";
import { loadPipelines, pipelinesDir } from "../shared/pipeline/load.ts";
import { TransformerVariables } from "./config.ts";
import { readFeeds } from "./feeds.ts";
import { transformer } from "./transformer.ts";

if (import.meta.main) {
  await runService(
    "transformer",
    TransformerVariables,
    async (config, { use, signal, log }) => {
      const dir = pipelinesDir(config.PIPELINES_DIR);
      const feedOf = await readFeeds(await loadPipelines(dir), { dir, lookupFile: config.LOOKUP_FILE, log });
      const channel = use(await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH }));
      const cancellations = new HeardCancellations();
      const actor = transformer({ files: openFiles(filesPlaceOf(config)), feedOf });
      const leaseMs = config.LEASE_SECONDS * 1_000;
      await runTogether(
        signal,
        (signal) => runActor(actor, channel, { signal, leaseMs, cancellations }),
        (signal) => cancellations.listen(channel, signal),
        (signal) => whenListening(channel, [actor.mailbox], signal, () => log.info("ready")),
      );
    },
  );
}
