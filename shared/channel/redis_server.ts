/** Checks whether a Redis server can keep the channel's guarantees. */

/** The oldest supported server version: the scripts use features of streams that are new in it. */
const OLDEST_SERVER = 7;

/** Version and settings of a server; a field is empty if it can't be read. */
interface ServerFacts {
  /** Such as `7.0.15`. */
  readonly version: string;
  /** Its policy when its memory is full (`maxmemory-policy`). */
  readonly policy: string;
  /** `1` if `appendonly` is on, else `0`. */
  readonly keeps: string;
}

/** Why a server can't hold the channel, and what to do; undefined if it can. */
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
    keeps === "0" ? "Redis loses messages when it stops: appendonly is off. Set it to yes." : [],
  ].flat();
}
