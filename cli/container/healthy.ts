/**
 * `healthy.ts [URL]`: exits with 0 if the part in this container is healthy. With a URL: if that answers with success.
 * Without: if each actor of this host has recently reported to the channel's directory.
 */
import { hostname } from "node:os";
import { openChannel } from "../../shared/channel/open.ts";
import { type Beat, isAlive } from "../../shared/channel/channel.ts";
import { ChannelVariables, redisUrlOf } from "../../shared/config/variables.ts";
import { loadConfig } from "../../shared/config/config.ts";
import { complain, EXIT, runCommand } from "../command_line.ts";

/** The problem with the actors of `host`; undefined if they are healthy. */
export function complaint(beats: readonly Beat[], host: string, now: number): string | undefined {
  const own = beats.filter((beat) => beat.host === host);
  if (own.length === 0) return `No actor of ${host} is in the directory.`;
  const newest = new Map<string, Beat>();
  for (const beat of own.toSorted((a, b) => a.at - b.at)) newest.set(beat.actor, beat);
  const silent = [...newest.values()].filter((beat) => !isAlive(beat, now));
  if (silent.length === 0) return undefined;
  return silent.map(({ actor, at }) => `${actor} last reported ${Math.round((now - at) / 1000)} s ago.`)
    .join(" ");
}

async function check(url: string | undefined): Promise<string | undefined> {
  if (url !== undefined) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(8_000) });
    const text = await answer.text();
    return answer.ok ? undefined : `${url} answers ${answer.status}: ${text}`;
  }
  const config = loadConfig("healthy", ChannelVariables, Deno.env.toObject());
  await using channel = await openChannel({ redisUrl: redisUrlOf(config), queuePath: config.QUEUE_PATH });
  return complaint(await channel.beats(), hostname(), Date.now());
}

if (import.meta.main) {
  await runCommand({ help: "healthy.ts [URL]", words: 1 }, async ({ words: [url] }) => {
    const problem = await check(url);
    if (problem !== undefined) complain(problem);
    return problem === undefined ? EXIT.ok : EXIT.failed;
  });
}
