/**
 * Ports for servers that tests start, stop and restart.
 *
 * @module
 */

/**
 * Above the ports that `fetch` refuses, of which 10,080 is the last, and below the ephemeral ones: Linux starts them at
 * 32,768, other systems at 49,152.
 */
const FIRST = 10_081, LAST = 32_767;

/** Returns a free port. No connection takes it while its server is down, as it isn't an ephemeral one. */
export function freePort(): number {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}
