/**
 * Commands that an operator runs by hand.
 *
 * @module
 */
import { createClient } from "redis";

/** Sends a command to a Redis server. */
export async function command({ url }: { url: string }, ...words: string[]): Promise<unknown> {
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  try {
    return await client.sendCommand(words);
  } finally {
    client.destroy();
  }
}
