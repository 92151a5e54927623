/**
 * Ports for servers that tests start, stop and start again.
 *
 * @module
 */

/** Below the ports that systems hand out by themselves: Linux from 32,768 on, others from 49,152 on. */
const FIRST = 10_000, LAST = 32_767;

/** A port of this machine that nobody listens at, and that no connection or other server takes while a server is away from it. */
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
