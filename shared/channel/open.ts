import type { Channel } from "./channel.ts";
import { openEmbeddedChannel } from "./embedded.ts";

export interface ChannelPlace {
  /** A Redis server; takes precedence. */
  readonly redisUrl?: string | undefined;
  /** The embedded queue's file, used without `redisUrl`. */
  readonly queuePath: string;
}

/** Opens the channel at `place`. @throws PermanentError or TransientError as `openRedisChannel` and `openEmbeddedChannel`. */
export async function openChannel({ redisUrl, queuePath }: ChannelPlace): Promise<Channel> {
  if (redisUrl === undefined) return await openEmbeddedChannel(queuePath);
  // loaded on demand: the client takes 11 MB and nearly half of a service's start
  const { openRedisChannel } = await import("./redis.ts");
  return await openRedisChannel({ url: redisUrl });
}
