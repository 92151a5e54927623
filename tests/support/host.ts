/**
 * Where the servers of a test run: on this machine, or in a network namespace that stands for another
 * machine.
 *
 * @module
 */

export interface Host {
  /** The address at which its servers listen. */
  readonly address: string;
  /** The prefix of a command that runs there; empty for this machine. */
  readonly enter: readonly string[];
}

export const HERE: Host = { address: "127.0.0.1", enter: [] };

/** Returns a command that runs `program` on `host`. Its process is that of the program. */
export function commandOn(
  { enter }: Host,
  program: string,
  { args = [], ...options }: Deno.CommandOptions & { readonly args?: string[] },
): Deno.Command {
  const [first, ...rest] = [...enter, program, ...args];
  return new Deno.Command(first!, { ...options, args: rest });
}
