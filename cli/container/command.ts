/**
 * `command.ts SERVICE [ARGUMENT...]`: prints the arguments for `deno` that start the service with the least permissions
 * that its configuration needs, one per line.
 */
import { EXIT, runCommand, say } from "../command_line.ts";
import { serviceNamed } from "../service.ts";
import { commandOf, pipelinesOf } from "../services.ts";

if (import.meta.main) {
  const [name, ...args] = Deno.args;
  await runCommand({ help: "command.ts SERVICE [ARGUMENT…]", args: [] }, async () => {
    const service = serviceNamed(name);
    const env = Deno.env.toObject();
    say(commandOf(service, env, await pipelinesOf(env), args).join("\n"));
    return EXIT.ok;
  });
}
