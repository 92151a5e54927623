/**
 * Where the servers of a test run: on this machine, or in a network namespace that stands for another one.
 *
 * @module
 */

/** A machine that servers run on. */
export interface Host {
  /** The address at which its servers listen. */
  readonly address: string;
  /** The words before a command that make it run there; empty for this machine. */
  readonly enter: readonly string[];
}

/** This machine. */
export const HERE: Host = { address: "127.0.0.1", enter: [] };

/** A command that runs `program` on `host`; its process is the program's. */
export function commandOn(
  { enter }: Host,
  program: string,
  { args = [], ...options }: Deno.CommandOptions & { readonly args?: string[] },
): Deno.Command {
  const [first, ...rest] = [...enter, program, ...args];
  return new Deno.Command(first!, { ...options, args: rest });
}
