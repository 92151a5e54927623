/**
 * The consumer of the queue row, in a separate process: claims and completes on the pipeline's channel. Prints `ready`,
 * then for each message the milliseconds from its publication until it was acknowledged. Arguments: the Redis URL (or
 * an empty one), the queue file.
 */
import { EXIT, runCommand, say } from "../../cli/command_line.ts";
import { openChannel } from "../../shared/channel/open.ts";

export const HOP_MAILBOX = "channel:bench";

/** The time, comparable between processes of one machine, in milliseconds. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

if (import.meta.main) {
  await runCommand(
    { help: "hop.ts REDIS_URL QUEUE_PATH", words: 2 },
    async ({ words: [redisUrl, queuePath = ""] }) => {
      await using channel = await openChannel({ redisUrl: redisUrl || undefined, queuePath });
      const stop = new AbortController();
      Deno.addSignalListener("SIGTERM", () => stop.abort());
      say("ready");
      for (;;) {
        const claim = await channel.claim(HOP_MAILBOX, { leaseMs: 30_000, signal: stop.signal });
        if (claim === undefined) return EXIT.ok;
        await claim.complete();
        say(`handled ${now() - JSON.parse(claim.body).at}`);
      }
    },
  );
}
