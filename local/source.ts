import { numberOf, runCommand } from "../cli/command_line.ts";
import { serveUntilStopped } from "./serve.ts";
import { MOST_USERS, type SourceOptions, startSource } from "./source/server.ts";

export {
  type Handler,
  type RunningSource,
  sampleSource,
  type SourceOptions,
  startSource,
} from "./source/server.ts";

const HELP = `deno run local/source.ts [--users 208] [--bad 0] [--port 0] [--host 127.0.0.1]

A sample source of generated users, until Ctrl-C.`;

const OPTIONS = {
  users: { type: "string", default: "208" },
  bad: { type: "string", default: "0" },
  port: { type: "string", default: "0" },
  host: { type: "string", default: "127.0.0.1" },
  "with-parent": { type: "boolean" },
} as const;

if (import.meta.main) {
  await runCommand({ help: HELP, options: OPTIONS }, async ({ values }) => {
    const options: SourceOptions = {
      users: numberOf("users", values.users, { max: MOST_USERS }),
      bad: numberOf("bad", values.bad, { max: 1, whole: false }),
      port: numberOf("port", values.port, { max: 65_535 }),
      host: values.host,
    };
    await using source = await startSource(options);
    return await serveUntilStopped(source, `Sample source: ${source.url} (${source.users} users)`);
  });
}
