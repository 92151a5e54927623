/**
 * Ending with the program that started this one, whatever ended that: its end of a pipe on standard input closes then.
 *
 * @module
 */

/** The argument that says that standard input is such a pipe; without it standard input means nothing. */
export const WITH_PARENT = "--with-parent";

/** A process that hasn't ended so long after its parent is ended, in milliseconds. */
const GRACE_MS = 15_000;

/** Calls `stop` when the parent is gone, where there is one to watch. */
export async function endWithParent(stop: () => void): Promise<void> {
  if (!Deno.args.includes(WITH_PARENT)) return;
  const buffer = new Uint8Array(64);
  while (await Deno.stdin.read(buffer).catch(() => null) !== null);
  setTimeout(() => Deno.exit(1), GRACE_MS);
  stop();
}
