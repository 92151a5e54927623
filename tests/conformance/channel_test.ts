import type { Channel } from "../../shared/channel/channel.ts";
import { type ChannelPlace, openChannel } from "../../shared/channel/open.ts";
import { startRedis } from "../support/redis.ts";
import { testChannel } from "./channel.ts";
import type { Transport } from "./channel_tools.ts";

testChannel({
  name: "embedded",
  start: async () => {
    const folder = await Deno.makeTempDir({ prefix: "queue-" });
    const place = { queuePath: `${folder}/queue.db` };
    return shared(place, () => Deno.remove(folder, { recursive: true }));
  },
});

testChannel({
  name: "redis",
  needs: ["redis-server"],
  start: async () => {
    const server = await startRedis();
    const place = { redisUrl: server.url, queuePath: "" };
    return shared(place, () => server[Symbol.asyncDispose]());
  },
});

/** Returns a transport that any number of handles and processes can open. */
function shared(place: ChannelPlace, remove: () => PromiseLike<void>): Transport {
  const handles: Channel[] = [];
  return {
    place,
    async open() {
      const channel = await openChannel(place);
      handles.push(channel);
      return channel;
    },
    async [Symbol.asyncDispose]() {
      for (const channel of handles.reverse()) await channel[Symbol.asyncDispose]();
      await remove();
    },
  };
}
