/**
 * Measures the duration of work on a machine that may be busy.
 *
 * @module
 */

/**
 * Returns the shortest duration of `goes` calls of `work`, in milliseconds. Other load on the machine can only
 * add to it.
 */
export async function leastMs(work: () => unknown, goes = 7): Promise<number> {
  let least = Infinity;
  for (let n = 0; n < goes; n++) {
    const began = performance.now();
    await work();
    least = Math.min(least, performance.now() - began);
  }
  return least;
}
