/**
 * The saver service: five actors over one database. The saver loads files, and the gatekeeper carries out decisions on
 * held runs. The courier delivers files, the recorder stores the events of runs, and the notifier sends notifications.
 */
import { runActor } from "../shared/actor/run_actor.ts";
import { HeardCancellations } from "../shared/actor/cancel.ts";
import { runService, runTogether, whenListening, whenThere } from "../shared/actor/service.ts";
import { openChannel } from "../shared/channel/open.ts";
import { variable } from "../shared/config/config.ts";
import { filesPlaceOf, redisUrlOf, storePlaceOf } from "../shared/config/variables.ts";
import type { RunEvent } from "../shared/contracts/messages.ts";
import { DEFAULT_PIPELINE } from "../shared/contracts/names.ts";
import { ConfigError, messageOf } from "../shared/errors/errors.ts";
import { openFiles } from "../shared/files/open.ts";
import { loadPipelines, pipelinesDir } from "../shared/pipeline/load.ts";
import { timetableOf } from "../shared/pipeline/schedule.ts";
import { sendAhead } from "./ahead.ts";
import { notifyOptionsOf, SaverVariables, sftpOptionsOf } from "./config.ts";
import { courier, deliveryOf, type Seal } from "./courier.ts";
import { SftpDeliveries } from "./delivery/sftp.ts";
import { limitsOf } from "./gate.ts";
import { gatekeeper } from "./gatekeeper.ts";
import { notifier } from "./notify/notifier.ts";
import { orderOf } from "../shared/contracts/notification_order.ts";
import { notificationsFor } from "./notify/event_notifications.ts";
import { keepWatching } from "./notify/watch.ts";
import { keepReconciling } from "./reconcile.ts";
import { keepRemoving } from "./retention.ts";
import { keepTrimming } from "./trimming.ts";
import { recorder, saver } from "./saver.ts";
import { openStore, shownPlace } from "../shared/store/open.ts";
import { shownOf } from "../shared/store/shown.ts";

if (import.meta.main) {
  await runService("saver", SaverVariables, async (config, { use, signal, log }) => {
    const { plans, broken } = await loadPipelines(pipelinesDir(config.PIPELINES_DIR));
    for (const [pipeline, problems] of broken) log.error("pipeline out of service", { pipeline, problems });
    const { receivers, keys } = notifyOptionsOf(config);
    const pipelines = [...plans.values()].map((plan) =>
      shownOf(plan, plan.name === DEFAULT_PIPELINE ? config.MASK_FIELDS : undefined)
    );
    const place = storePlaceOf(config);
    const store = use(await whenThere(() => openStore(place, pipelines), signal, log));
    const channel = use(await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH }));
    const files = openFiles(filesPlaceOf(config));
    const server = sftpOptionsOf(config);
    const deliveryTo = server && use(new SftpDeliveries(server)).to;
    const seal = await sealFor(config.SFTP_ENCRYPT_TO);
    const cancellations = new HeardCancellations();
    const days = config.RETENTION_DAYS;
    const keepDays = config.KEEP_RUNS_DAYS;
    const limitsFor = (pipeline: string, isWhole: boolean) => {
      const plan = config.HOLD_RUNS === "on" ? plans.get(pipeline) : undefined;
      return plan && limitsOf(plan.definition, isWhole);
    };
    const leaseMs = config.LEASE_SECONDS * 1_000;
    if (deliveryTo === undefined) {
      log.warning("SFTP_HOST is not set: runs are loaded and complete with delivery NOT_CONFIGURED");
    }
    const publicUrl = config.PUBLIC_URL;
    const ordersOf = async (event: RunEvent) =>
      (await notificationsFor(event, store)).map((news) => orderOf(news, publicUrl));
    const notifies = receivers.length > 0;
    const notifying = notifier({ store, receivers, keys });
    const mailboxes = [
      "channel:phase2_complete",
      "channel:decision",
      "channel:deliver",
      "channel:run_events",
      "channel:notify",
    ];
    const ready = () =>
      log.info("ready", {
        database: shownPlace(place),
        sftp: config.SFTP_HOST ?? "not configured",
        notifies: receivers.map(({ host }) => host).join(" ") || "nobody",
      });
    await runTogether(
      signal,
      (signal) =>
        runActor(saver({ store, files, limitsOf: limitsFor }), channel, { signal, leaseMs, cancellations }),
      (signal) => runActor(gatekeeper({ store }), channel, { signal, leaseMs }),
      (signal) =>
        runActor(courier({ store, files, deliveryTo, seal }), channel, { signal, leaseMs, cancellations }),
      (signal) =>
        runActor(recorder({ store, ...notifies ? { ordersOf } : {} }), channel, { signal, leaseMs }),
      ...Array.from(
        { length: Math.max(1, receivers.length) },
        () => (signal: AbortSignal) => runActor(notifying, channel, { signal, leaseMs }),
      ),
      (signal) => cancellations.listen(channel, signal),
      (signal) => keepReconciling({ store, files, channel }, signal),
      (signal) => whenListening(channel, mailboxes, signal, ready),
      ...(!notifies ? [] : [(signal: AbortSignal) => {
        const lateAfterMs = config.NOTIFY_LATE_MINUTES * 60_000;
        const timetables = [...plans].flatMap(([name, { definition: { schedule } }]) =>
          timetableOf(name, schedule, config, variable) ?? []
        );
        const parts = { store, channel, timetables, broken: [...broken.keys()], lateAfterMs, publicUrl };
        return keepWatching(parts, signal);
      }]),
      ...(deliveryTo === undefined || seal !== undefined
        ? []
        : [(signal: AbortSignal) =>
          sendAhead({ channel, files, deliveryTo: (name) => deliveryOf(store, deliveryTo, name) }, signal)]),
      ...(days === undefined
        ? []
        : [(signal: AbortSignal) => keepRemoving({ store, files, days, channel, log }, signal)]),
      ...(keepDays === "off"
        ? []
        : [(signal: AbortSignal) => keepTrimming({ store, days: keepDays, log }, signal)]),
    );
  });
}

/** Loads the library only if files are encrypted, as it takes memory and time. */
async function sealFor(recipients: readonly string[] | undefined): Promise<Seal | undefined> {
  if (recipients === undefined) return undefined;
  const { checkRecipients, seal } = await import("./delivery/seal.ts");
  try {
    checkRecipients(recipients);
  } catch (error) {
    throw new ConfigError("saver", [messageOf(error)]);
  }
  return (file, place, signal, onProgress) => seal(file, recipients, place, signal, onProgress);
}
