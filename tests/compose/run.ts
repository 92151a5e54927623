/**
 * Runs commands for the compose test.
 *
 * @module
 */

export class CommandFailed extends Error {
  override readonly name: string = "CommandFailed";

  /** `command` exited with `code` and wrote `output`. */
  constructor(
    command: string,
    readonly code: number,
    /** Standard output and standard error. */
    readonly output: string,
  ) {
    super(`${command} ended with ${code}:\n${output}`);
  }
}

/** Runs a command; returns its standard output without the last line break. @throws CommandFailed */
export async function run(command: string, ...args: string[]): Promise<string> {
  return await runIn({}, command, ...args);
}

/** As `run`, in a folder and with additional variables. @throws CommandFailed */
export async function runIn(
  options: { cwd?: string; env?: Record<string, string> },
  command: string,
  ...args: string[]
): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(command, { ...options, args, stdin: "null" })
    .output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (code !== 0) {
    throw new CommandFailed([command, ...args].join(" "), code, `${text(stdout)}${text(stderr)}`);
  }
  return text(stdout).trimEnd();
}
