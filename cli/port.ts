import { pause } from "../shared/actor/backoff.ts";
import { PermanentError } from "../shared/errors/errors.ts";

/** Any problem other than a port in use is reported by the server itself. */
export function isFree(hostname: string, port: number): boolean {
  try {
    Deno.listen({ hostname, port }).close();
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.AddrInUse);
  }
}

export function nextFree(hostname: string, port: number): number {
  while (!isFree(hostname, port) && port < 65_535) port += 1;
  return port;
}

/** The program that listens at a port, such as `python3 (process 4321)`, if the system shows it to this user. */
export async function holderOf(port: number): Promise<string> {
  const unknown = "another program";
  try {
    const { stdout } = await new Deno.Command("ss", {
      args: ["-Hltnp", `sport = :${port}`],
      stdin: "null",
      stderr: "null",
    }).output();
    const [, name, pid] = /users:\(\("([^"]+)",pid=(\d+)/.exec(new TextDecoder().decode(stdout)) ?? [];
    return name === undefined ? unknown : `${name} (process ${pid})`;
  } catch {
    return unknown; // the command doesn't exist
  }
}

/** How long the API of a pipeline whose supervisor was killed may take to release its port, in milliseconds. */
const LEAVE_MS = 2_000;

/** @throws PermanentError when another program listens there. */
export async function requireFree(hostname: string, port: number): Promise<void> {
  for (let waited = 0; waited < LEAVE_MS; waited += 100) {
    if (port === 0 || isFree(hostname, port)) return;
    await pause(100);
  }
  throw new PermanentError(
    `Cannot start the API: port ${port} of ${hostname} is in use by ${await holderOf(port)}. ` +
      "End that program, or set API_PORT to another port.",
  );
}
