/** Listens to a channel without taking messages from their receivers. */
import { getLogger } from "@logtape/logtape";
import type { Channel } from "../channel/channel.ts";
import type { ChannelName, MessageOn } from "../contracts/channels.ts";
import { messageOf, TransientError } from "../errors/errors.ts";
import { backOff, pause } from "./backoff.ts";
import { decode } from "./message.ts";

const log = getLogger(["etl", "listen"]);

/**
 * Calls `hear` with each message on `name`, until `signal`. It continues after an outage of the channel; messages
 * published meanwhile are missed. Ignores unreadable messages.
 *
 * @throws errors that waiting can't resolve.
 */
export async function listen<C extends ChannelName>(
  channel: Channel,
  name: C,
  hear: (message: MessageOn<C>) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      for await (const body of await channel.watch(name, signal)) {
        failures = 1;
        const message = read(name, body);
        if (message !== undefined) hear(message);
      }
    } catch (error) {
      if (!(error instanceof TransientError)) throw error;
      log.debug("cannot listen, retrying", { channel: name, reason: error.message });
      await pause(backOff(failures, { firstMs: 200, maxMs: 10_000 }), signal);
    }
  }
}

function read<C extends ChannelName>(name: C, body: string): MessageOn<C> | undefined {
  try {
    return decode(name, body);
  } catch (error) {
    log.warning("unreadable message skipped", { channel: name, reason: messageOf(error) });
    return undefined;
  }
}
