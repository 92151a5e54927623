/**
 * How long work takes, on a machine that may be busy with something else.
 *
 * @module
 */

/** The least time that `work` takes of some goes, in milliseconds: what else the machine does only ever adds to it. */
export async function leastMs(work: () => unknown, goes = 7): Promise<number> {
  let least = Infinity;
  for (let n = 0; n < goes; n++) {
    const began = performance.now();
    await work();
    least = Math.min(least, performance.now() - began);
  }
  return least;
}
