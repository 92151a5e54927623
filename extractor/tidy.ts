/** Removes uploads that killed writers have left in a store: they are invisible there, but cost money. */
import { getLogger } from "@logtape/logtape";
import { keepDoing } from "../shared/actor/backoff.ts";
import { messageOf } from "../shared/errors/errors.ts";
import type { Files } from "../shared/files/files.ts";

const EVERY_MS = 6 * 3_600_000;

/** Removes abandoned uploads now and regularly, until `signal`. Failures are logged; the next round retries. */
export async function keepTidying(files: Files, signal: AbortSignal): Promise<void> {
  const log = getLogger(["etl", "extractor"]);
  const tidy = async () => {
    const removed = await files.removeAbandoned(signal);
    if (removed > 0) log.info("removed what was left of abandoned files", { removed });
  };
  await keepDoing(
    tidy,
    EVERY_MS,
    signal,
    (error) => log.warning("cannot remove abandoned files", { reason: messageOf(error) }),
  );
}
