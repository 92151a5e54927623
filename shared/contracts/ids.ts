/**
 * Identifiers and times that stay the same when a step is repeated.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** A new UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits, so that ids sort by time. */
export function newRunId(now: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 5, rest = now; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256;
  return formatUuid(bytes, 7);
}

/**
 * The run id for a foreign message: a UUID version 8 (RFC 9562, section 5.8) from the SHA-256 of its raw file's name.
 */
export function runIdOfFile(rawFile: string): string {
  return formatUuid(
    new Uint8Array(createHash("sha256").update(`raw_file:${rawFile}`).digest().subarray(0, 16)),
    8,
  );
}

/** The id of a message that results from message `parentId`: the same each time that message is handled. */
export function childId(parentId: string, name: string): string {
  const id = `${parentId}/${name}`;
  return id.length <= 200 ? id : `${createHash("sha256").update(parentId).digest("hex")}/${name}`;
}

/**
 * The id that `childId(id, name)` was made from, or its hash if that id was too long; `parts` is the number of parts in
 * `name`.
 */
export function parentId(id: string, parts: number): string {
  return id.split("/").slice(0, -parts).join("/");
}

/**
 * The clocks of the machines differ by less than this, in milliseconds; a time further ahead is an error of its writer.
 */
const MAX_AHEAD_MS = 24 * 3_600_000;

/** The time `ms` in milliseconds since 1970 as ISO 8601, or `now` if nothing can have happened at that time. */
export function plausibleTime(ms: number, now: number = Date.now()): string {
  return new Date(ms >= 0 && ms <= now + MAX_AHEAD_MS ? ms : now).toISOString();
}

/**
 * The time for a message that results from one with time `after`: now, but never earlier than its cause, whatever the
 * machines' clocks say (a hybrid logical clock, in milliseconds). An implausible cause is ignored.
 */
export function stamp(after?: string): string {
  const now = Date.now();
  const cause = after === undefined ? 0 : Date.parse(after) + 1;
  return plausibleTime(cause > now ? cause : now, now);
}

function formatUuid(bytes: Uint8Array, version: number): string {
  bytes[6] = (bytes[6]! & 0x0f) | (version << 4);
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/**
 * When a run was requested, even if another message about it arrives first: the time in its id, if that is a UUID
 * version 7.
 */
export function timeOfRun(runId: string): string | undefined {
  if (runId[14] !== "7") return undefined;
  const time = parseInt(runId.slice(0, 8) + runId.slice(9, 13), 16);
  return time <= Date.UTC(9999, 11, 31) ? new Date(time).toISOString() : undefined;
}
