/**
 * Ends this process when the program that started it ends, for any reason: its end of the pipe on standard input closes
 * then.
 */

/** The argument which says that standard input is such a pipe. */
export const WITH_PARENT = "--with-parent";

/** How long a process may outlive its parent, in milliseconds. */
const GRACE_MS = 15_000;

/** Calls `stop` when the parent has ended; does nothing without `WITH_PARENT`. */
export async function endWithParent(stop: () => void): Promise<void> {
  if (!Deno.args.includes(WITH_PARENT)) return;
  const buffer = new Uint8Array(64);
  while (await Deno.stdin.read(buffer).catch(() => null) !== null);
  setTimeout(() => Deno.exit(1), GRACE_MS);
  stop();
}
