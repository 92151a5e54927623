/**
 * `command.ts SERVICE [ARGUMENT...]`: prints the arguments for `deno` that start the service with the least permissions that its configuration
 * needs, one a line.
 *
 * @module
 */
import { ConfigError, messageOf } from "../../shared/errors/errors.ts";
import { commandOf, SERVICES } from "../services.ts";

function main([name, ...args]: string[]): string[] {
  const service = SERVICES.find((service) => service === name);
  if (service === undefined) {
    throw new ConfigError(JSON.stringify(name ?? ""), [`wanted one of ${SERVICES.join(", ")}`]);
  }
  return commandOf(service, Deno.env.toObject(), args);
}

if (import.meta.main) {
  const say = (out: typeof Deno.stdout | typeof Deno.stderr, line: string) =>
    out.writeSync(new TextEncoder().encode(`${line}\n`));
  try {
    say(Deno.stdout, main(Deno.args).join("\n"));
  } catch (error) {
    say(Deno.stderr, messageOf(error));
    Deno.exit(error instanceof ConfigError ? 2 : 1);
  }
}
