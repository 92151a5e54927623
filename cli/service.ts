/**
 * `deno task extractor` (or another service): starts it with the least permissions that its configuration needs, passes signals on, and ends
 * with its exit code.
 *
 * @module
 */
import { ConfigError, messageOf } from "../shared/errors/errors.ts";
import { misspellings, readEnvironment } from "./env_file.ts";
import { commandOf, type Service, SERVICES, VARIABLES } from "./services.ts";

async function main([name, ...args]: string[]): Promise<number> {
  const service = SERVICES.find((service) => service === name);
  if (service === undefined) throw new ConfigError(String(name), [`wanted one of ${SERVICES.join(", ")}`]);
  const env = await readEnvironment();
  const known = Object.keys({
    ...VARIABLES.extractor,
    ...VARIABLES.transformer,
    ...VARIABLES.saver,
    ...VARIABLES.api,
  });
  for (const warning of misspellings(env, known)) await complain(`Warning: ${warning}`);
  return await passOn(service, env, args);
}

async function passOn(
  service: Service,
  env: Record<string, string | undefined>,
  args: string[],
): Promise<number> {
  const set = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const child = new Deno.Command(Deno.execPath(), {
    args: commandOf(service, env, args),
    env: Object.fromEntries(set),
    stdin: "null",
  }).spawn();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    // A terminal sends SIGINT to the service too; sending it again would be the second signal, which forces.
    Deno.addSignalListener(signal, () => signal === "SIGTERM" && child.kill(signal));
  }
  return (await child.status).code;
}

async function complain(line: string): Promise<void> {
  await Deno.stderr.write(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    await complain(messageOf(error));
    Deno.exit(error instanceof ConfigError ? 2 : 1);
  }
}
