import { WITH_PARENT } from "../shared/actor/parent.ts";
import { loadConfig } from "../shared/config/config.ts";
import { complain, runCommand, UsageError } from "./command_line.ts";
import { misspellings, readEnvironment } from "./env_file.ts";
import { requireFree } from "./port.ts";
import { kill } from "./program.ts";
import {
  commandOf,
  type Environment,
  environmentOf,
  pipelinesOf,
  type Service,
  SERVICES,
  VARIABLES,
} from "./services.ts";

const HELP = `deno task ${SERVICES.join("|")} [--once]

Starts one service with the least permissions that its configuration needs.
  --once   the extractor alone: extracts once, then exits`;

/** The service of that name. @throws UsageError if there is none. */
export function serviceNamed(name = ""): Service {
  const service = SERVICES.find((service) => service === name);
  if (service !== undefined) return service;
  throw new UsageError(`Cannot start ${JSON.stringify(name)}: wanted one of ${SERVICES.join(", ")}.`);
}

async function run(service: Service, args: string[], env: Environment): Promise<number> {
  const known = Object.values(VARIABLES).flatMap((variables) => Object.keys(variables));
  for (const warning of misspellings(env, known)) complain(`Warning: ${warning}`);
  const pipelines = await pipelinesOf(env);
  const command = commandOf(service, env, pipelines, [...args, WITH_PARENT]);
  if (service === "api") {
    const { API_HOST, API_PORT } = loadConfig(service, VARIABLES.api, env);
    await requireFree(API_HOST, API_PORT);
  }
  const own = environmentOf(service, env, pipelines);
  const set = Object.entries(own).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const child = new Deno.Command(Deno.execPath(), {
    args: command,
    env: Object.fromEntries(set),
    clearEnv: true,
    stdin: "piped", // open as long as this process runs: see shared/actor/parent.ts
  }).spawn();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    // A terminal sends SIGINT to the service too. A second signal would force the service to end, so SIGINT isn't
    // forwarded.
    Deno.addSignalListener(signal, () => signal === "SIGTERM" && kill(child, signal));
  }
  return (await child.status).code;
}

if (import.meta.main) {
  const options = { once: { type: "boolean", default: false } } as const;
  await runCommand({ help: HELP, options, words: 1 }, async ({ values, words: [name] }) => {
    const service = serviceNamed(name);
    if (values.once && service !== "extractor") {
      throw new UsageError(`Cannot use --once with ${service}: only the extractor takes it.`);
    }
    return await run(service, values.once ? ["--once"] : [], await readEnvironment());
  });
}
