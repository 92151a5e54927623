/**
 * What an operator does by hand.
 *
 * @module
 */
import { createClient } from "redis";

/** Sends one command to a server, as an operator would. */
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
