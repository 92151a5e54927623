/**
 * The maximum difference between a server's clock and this machine's, in milliseconds: times of all machines are
 * compared.
 */
export const MOST_CLOCK_SKEW_MS = 5_000;

/**
 * The problem with the clock of `place`, which showed `theirs` between `before` and `after` of this machine's clock;
 * undefined if there is none.
 */
export function clockProblem(
  place: string,
  theirs: number,
  { before, after }: { before: number; after: number },
): string | undefined {
  const skew = theirs < before ? before - theirs : theirs > after ? theirs - after : 0;
  if (skew <= MOST_CLOCK_SKEW_MS) return undefined;
  return `The clock of ${place} differs by ${Math.round(skew / 1000)} s from this machine's; wanted at most ${
    MOST_CLOCK_SKEW_MS / 1000
  }. Let both follow a time server.`;
}
