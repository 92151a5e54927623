/**
 * Whether a Redis server keeps the channel's promises.
 *
 * @module
 */

/** The oldest server that will do: what the scripts ask of streams is new in it. */
const OLDEST_SERVER = 7;

/** What a server says of itself; each is empty where it doesn't let that be read. */
export interface ServerFacts {
  /** Such as `7.0.15`. */
  readonly version: string;
  /** What it does when its memory is full (`maxmemory-policy`). */
  readonly policy: string;
  /** `1` where it keeps commands on its disk (`appendonly`), else `0`. */
  readonly keeps: string;
}

/** Why the channel can't be kept on a server, and what to do; undefined where it can. */
export function unfit({ version }: ServerFacts): string | undefined {
  if (version === "" || Number.parseInt(version) >= OLDEST_SERVER) return undefined;
  return `it has version ${version}, wanted ${OLDEST_SERVER} or newer. Upgrade it`;
}

/** Settings that endanger messages, and what to do. */
export function dangersOf({ policy, keeps }: ServerFacts): string[] {
  return [
    policy === "noeviction" || policy === ""
      ? []
      : `Redis deletes messages when its memory is full: its maxmemory-policy is "${policy}". Set it to "noeviction".`,
    keeps === "0" ? "Redis forgets messages when it ends: appendonly is off. Set it to yes." : [],
  ].flat();
}
