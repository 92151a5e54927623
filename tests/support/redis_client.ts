/**
 * A Redis client as any other program uses it.
 *
 * @module
 */
import { createClient } from "redis";
import { until } from "../conformance/channel_tools.ts";
import type { RedisServer } from "./redis.ts";

/** A connected client. Disposing of it ends the connection. */
export type PlainClient = Awaited<ReturnType<typeof plainClient>>;

export async function plainClient({ url }: RedisServer) {
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  return Object.assign(client, { [Symbol.dispose]: () => client.destroy() });
}

/** Resolves once `count` clients listen to the Pub/Sub channel `name`. */
export async function listened(client: PlainClient, name: string, count: number): Promise<void> {
  await until(async () => (await client.pubSubNumSub(name))[name] === count);
}
