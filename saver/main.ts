/**
 * The saver service: three actors over one database. The saver loads files, the courier delivers them, the recorder keeps what is told of runs.
 *
 * @module
 */
import { runActor } from "../shared/actor/actor.ts";
import { HeardCancellations } from "../shared/actor/cancel.ts";
import { runService, runTogether } from "../shared/actor/service.ts";
import { openChannel } from "../shared/channel/open.ts";
import type { ConfigOf } from "../shared/config/config.ts";
import {
  ActorVariables,
  ChannelVariables,
  MaskVariables,
  redisUrlOf,
  StorageVariables,
} from "../shared/config/variables.ts";
import { Files } from "../shared/jsonl/files.ts";
import { openStore } from "../shared/store/open.ts";
import { SaverVariables } from "./config.ts";
import { courier } from "./courier.ts";
import type { Delivery } from "./delivery/delivery.ts";
import { sftpDelivery } from "./delivery/sftp.ts";
import { recorder, saver } from "./saver.ts";

if (import.meta.main) {
  const variables = {
    ...SaverVariables,
    ...MaskVariables,
    ...ActorVariables,
    ...ChannelVariables,
    ...StorageVariables,
  };
  await runService("saver", variables, async (config, { use, signal, log }) => {
    const store = use(await openStore(config.DB_PATH, { maskFields: config.MASK_FIELDS }));
    const channel = use(await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH }));
    const files = new Files(config.DATA_DIR);
    const delivery = deliveryOf(config);
    const cancellations = new HeardCancellations();
    const leaseMs = config.LEASE_SECONDS * 1_000;
    if (delivery === undefined) {
      log.warning("SFTP_HOST is not set: runs are loaded and complete with delivery NOT_CONFIGURED");
    }
    log.info("ready", { database: config.DB_PATH, sftp: config.SFTP_HOST ?? "not configured" });
    await runTogether(
      signal,
      (signal) => runActor(saver({ store, files }), channel, { signal, leaseMs, cancellations }),
      (signal) => runActor(courier({ store, files, delivery }), channel, { signal, leaseMs, cancellations }),
      (signal) => runActor(recorder({ store }), channel, { signal, leaseMs }),
      (signal) => cancellations.listen(channel, signal),
    );
  });
}

function deliveryOf(config: ConfigOf<typeof SaverVariables>): Delivery | undefined {
  if (config.SFTP_HOST === undefined) return undefined;
  return sftpDelivery({
    host: config.SFTP_HOST,
    port: config.SFTP_PORT,
    user: config.SFTP_USER,
    keyPath: config.SFTP_KEY_PATH,
    passphrase: config.SFTP_KEY_PASSPHRASE,
    knownHosts: config.SFTP_KNOWN_HOSTS,
    hostKeyPolicy: config.SFTP_HOST_KEY_POLICY,
    remoteDir: config.SFTP_REMOTE_DIR,
    verify: config.SFTP_VERIFY,
  });
}
