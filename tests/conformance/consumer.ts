/**
 * A consumer in a separate process. Opens the channel of its first argument (the JSON of a `ChannelPlace`),
 * claims from the mailbox of its second, and prints `claimed <id> <attempt>` for each message. The third
 * argument says what follows: `hold` keeps the first message for ever; `drain` completes each message with an
 * output `<id>/out` in the mailbox `<mailbox>:out`.
 *
 * @module
 */
import { openChannel } from "../../shared/channel/open.ts";

const [place = "", mailbox = "", then = ""] = Deno.args;

/** Claims messages until it is killed. */
async function main(): Promise<void> {
  await using channel = await openChannel(JSON.parse(place));
  const never = new AbortController().signal;
  while (true) {
    const claim = await channel.claim(mailbox, { leaseMs: then === "hold" ? 300 : 30_000, signal: never });
    if (claim === undefined) return;
    if (then === "drain") {
      await claim.complete({ to: `${mailbox}:out`, id: `${claim.id}/out`, body: claim.body });
    }
    await Deno.stdout.write(new TextEncoder().encode(`claimed ${claim.id} ${claim.attempt}\n`));
    if (then === "hold") await new Promise(() => setInterval(() => {}, 60_000));
  }
}

if (import.meta.main) await main();
