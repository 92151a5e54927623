/**
 * The receiving end of the queue row, in a process of its own: `actor` claims and completes on the pipeline's channel, `bare` reads a Redis
 * stream as a program would that has nothing but a client. Prints `ready`, then for each message the milliseconds from its publishing until it was acknowledged.
 * Arguments: actor or bare, the Redis URL (or an empty one), the queue file.
 *
 * @module
 */
import { configure } from "@logtape/logtape";
import { createClient } from "redis";
import { openChannel } from "../../shared/channel/open.ts";

/** The mailbox that is measured. */
export const HOP_MAILBOX = "channel:bench";
/** The stream that is measured in its place. */
export const HOP_STREAM = "bench";

/** The time, comparable between processes of one machine, in milliseconds. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

async function actor(redisUrl: string, queuePath: string): Promise<void> {
  await using channel = await openChannel({ redisUrl: redisUrl || undefined, queuePath });
  const signal = stopped();
  say('"message":"ready"');
  while (true) {
    const claim = await channel.claim(HOP_MAILBOX, { leaseMs: 30_000, signal });
    if (claim === undefined) return;
    await claim.complete();
    sayLatency(claim.body);
  }
}

async function bare(redisUrl: string): Promise<void> {
  const client = createClient({ url: redisUrl, maintNotifications: "disabled" });
  await client.connect();
  await client.xGroupCreate(HOP_STREAM, "bench", "$", { MKSTREAM: true });
  const signal = stopped();
  say('"message":"ready"');
  const from = { key: HOP_STREAM, id: ">" };
  while (!signal.aborted) {
    const read = await client.xReadGroup("bench", "one", from, { COUNT: 1, BLOCK: 200 }) as
      | { messages: { id: string; message: { body: string } }[] }[]
      | null;
    for (const { id, message } of read?.flatMap(({ messages }) => messages) ?? []) {
      await client.xAck(HOP_STREAM, "bench", id);
      sayLatency(message.body);
    }
  }
  client.destroy();
}

function stopped(): AbortSignal {
  const stop = new AbortController();
  Deno.addSignalListener("SIGTERM", () => stop.abort());
  return stop.signal;
}

function sayLatency(body: string): void {
  say(`handled ${now() - JSON.parse(body).at}`);
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  await configure({
    sinks: {},
    loggers: [{ category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" }],
  });
  const [mode, redisUrl = "", queuePath = ""] = Deno.args;
  await (mode === "bare" ? bare(redisUrl) : actor(redisUrl, queuePath));
  Deno.exit(0);
}
