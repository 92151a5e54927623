/**
 * `command.ts SERVICE [ARGUMENT...]`: prints the arguments for `deno` that start the service with the least permissions that its configuration
 * needs, one a line.
 *
 * @module
 */
import { EXIT, runCommand, say, UsageError } from "../command_line.ts";
import { commandOf, pipelinesOf, SERVICES } from "../services.ts";

if (import.meta.main) {
  const [name, ...args] = Deno.args;
  await runCommand({ help: "command.ts SERVICE [ARGUMENT…]", args: [] }, async () => {
    const service = SERVICES.find((service) => service === name);
    if (service === undefined) {
      throw new UsageError(
        `Cannot start ${JSON.stringify(name ?? "")}: wanted one of ${SERVICES.join(", ")}.`,
      );
    }
    const env = Deno.env.toObject();
    say(commandOf(service, env, await pipelinesOf(env), args).join("\n"));
    return EXIT.ok;
  });
}
