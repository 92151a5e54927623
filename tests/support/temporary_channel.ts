/**
 * A channel in a temporary folder.
 *
 * @module
 */
import type { Channel } from "../../shared/channel/channel.ts";
import { openEmbeddedChannel } from "../../shared/channel/embedded.ts";

/** Opens the embedded channel in a temporary folder, which is removed when the channel is disposed of. */
export async function openTemporaryChannel(): Promise<Channel> {
  const folder = await Deno.makeTempDir({ prefix: "channel-" });
  const channel = await openEmbeddedChannel(`${folder}/queue.db`);
  const close = channel[Symbol.asyncDispose].bind(channel);
  channel[Symbol.asyncDispose] = async () => {
    await close();
    await Deno.remove(folder, { recursive: true });
  };
  return channel;
}
