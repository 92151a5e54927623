/**
 * `deno task etl COMMAND`: the pipeline in a terminal, over the API. Exit codes: 0 done, 1 refused, failed or still invalid, 2 a command or
 * configuration that can't be used, 3 the API can't be reached or wants a token.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { GraphqlClient, Refused, Unauthorized, Unreachable } from "../api/client/graphql.ts";
import { loadConfig } from "../shared/config/config.ts";
import { ConfigError, messageOf } from "../shared/errors/errors.ts";
import { EXIT, Failed, type Options, UsageError } from "./etl/command.ts";
import { COMMANDS } from "./etl/commands.ts";
import { EtlVariables } from "./etl/config.ts";
import { complain, say } from "./etl/terminal.ts";
import { readEnvironment } from "./env_file.ts";

const HELP = `deno task etl COMMAND [--json]

  runs [--limit N]                the last runs
  show RUN                        all of a run
  start [--watch]                 asks for a run; --watch follows it to its end
  watch [RUN]                     follows a run, or the current one, to its end
  invalid RUN [--reason TEXT]     its bad records
  repair RUN [--reason TEXT]      opens its bad records in $EDITOR, checks and replays what was changed
    --set FIELD=VALUE             sets a field in all of them instead
    --from FILE                   takes edited records from a file, or - for standard input
    --check                       says what would come of it, and changes nothing
    --yes                         doesn't ask
  redeliver RUN                   delivers its files again
  dead                            messages that were given up
  dead replay ID                  sends one again
  dead discard ID [--yes]         removes one for good
  verify [RUN|latest|all]         compares files, database and SFTP server; needs the pipeline's folders

RUN is a run's number, its id, or latest. --json writes one JSON object a line.
ETL_API_URL names the API (else API_HOST and API_PORT do), API_TOKEN its token; .env is read too.
Exit codes: 0 done; 1 refused, failed or still invalid; 2 a command that can't be used; 3 the API can't be reached.`;

async function main(args: string[]): Promise<number> {
  const { name, words, options, help } = understood(args);
  const command = COMMANDS[name ?? ""];
  if (help || command === undefined) {
    (help ? say : complain)(HELP);
    return help ? EXIT.ok : EXIT.usage;
  }
  const config = loadConfig("etl", EtlVariables, await readEnvironment());
  const url = new URL(
    "/graphql",
    config.ETL_API_URL ?? `http://${reachable(config.API_HOST)}:${config.API_PORT}`,
  );
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.signal.aborted ? Deno.exit(EXIT.failed) : stop.abort());
  return await command({
    api: new GraphqlClient(url.href, config.API_TOKEN),
    words,
    options,
    editor: config.VISUAL ?? config.EDITOR,
    signal: stop.signal,
  });
}

/** Where a server that listens on every address can be reached from here. */
function reachable(host: string): string {
  return host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
}

interface Understood {
  readonly name: string | undefined;
  readonly words: string[];
  readonly options: Options;
  readonly help: boolean;
}

function understood(args: string[]): Understood {
  try {
    const { values, positionals: [name, ...words] } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        yes: { type: "boolean", default: false, short: "y" },
        check: { type: "boolean", default: false },
        watch: { type: "boolean", default: false },
        help: { type: "boolean", default: false, short: "h" },
        limit: { type: "string", default: "20" },
        reason: { type: "string" },
        set: { type: "string", multiple: true, default: [] },
        from: { type: "string" },
      },
    });
    const limit = Number(values.limit);
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new UsageError(`Cannot use --limit ${values.limit}: wanted a whole number from 1.`);
    }
    const { help, ...others } = values;
    return { name, words, help, options: { ...others, limit, reason: values.reason, from: values.from } };
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

function codeOf(error: unknown): number {
  if (error instanceof UsageError || error instanceof ConfigError) return EXIT.usage;
  if (error instanceof Unreachable || error instanceof Unauthorized) return EXIT.unreachable;
  if (error instanceof Failed || error instanceof Refused) return EXIT.failed;
  throw error;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    const code = codeOf(error);
    complain(messageOf(error));
    Deno.exit(code);
  }
}
