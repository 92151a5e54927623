/**
 * Opens the channel that the configuration names.
 *
 * @module
 */
import type { Channel } from "./channel.ts";
import { openEmbeddedChannel } from "./embedded.ts";
import { openRedisChannel } from "./redis.ts";

/** Where the channel is. */
export interface ChannelPlace {
  /** A Redis server; takes precedence. */
  readonly redisUrl?: string | undefined;
  /** The embedded queue's file, used when there is no `redisUrl`. */
  readonly queuePath: string;
}

/** Opens the channel at `place`. @throws PermanentError or TransientError as `openRedisChannel` and `openEmbeddedChannel`. */
export async function openChannel({ redisUrl, queuePath }: ChannelPlace): Promise<Channel> {
  return redisUrl === undefined
    ? await openEmbeddedChannel(queuePath)
    : await openRedisChannel({ url: redisUrl });
}
