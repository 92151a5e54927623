import { EXIT, say } from "../cli/command_line.ts";
import { endWithParent } from "../shared/actor/parent.ts";

/**
 * Reports that a server is ready, and keeps it running until a signal, or the end of the program that started this one.
 */
export async function serveUntilStopped(
  server: { readonly finished: Promise<void>; close(): Promise<void> },
  ready: string,
): Promise<number> {
  const stop = () => void server.close();
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, stop);
  void endWithParent(stop);
  say(ready);
  await server.finished;
  return EXIT.ok;
}
