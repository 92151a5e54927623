import { GraphqlClient, Refused, Unauthorized, Unreachable } from "../api/client/graphql.ts";
import { loadConfig } from "../shared/config/config.ts";
import { complain, EXIT, numberOf, parsed, runCommand } from "./command_line.ts";
import { Failed, OPTIONS } from "./etl/command.ts";
import { COMMANDS } from "./etl/commands.ts";
import { EtlVariables } from "./etl/config.ts";
import { readEnvironment } from "./env_file.ts";

const HELP = `deno task etl COMMAND [--json]

  pipelines                       all pipelines: last run, next run, problems
  runs [--pipeline NAME] [--limit N]
                                  the last runs, of all pipelines or of one
  show RUN                        all of a run
  start [--pipeline NAME] [--watch]
                                  requests a run; --watch follows it to its end
  rewind NAME --to VALUE [--watch]
                                  requests a run that asks again for changes since VALUE, loaded or not
  watch [RUN]                     follows a run, or the current one, to its end
  invalid RUN [--reason TEXT] [--limit N]
                                  its invalid records
  repair RUN [--reason TEXT]      opens its invalid records in $EDITOR, checks and replays those that were changed
    --set FIELD=VALUE             sets a field in all of them instead
    --from FILE                   takes edited records from a file, or - for standard input
    --check                       shows which would pass, and changes nothing
    --yes                         doesn't ask for confirmation
  release RUN                     loads and delivers a run that is held, as it was held
  reject RUN [--yes]              ends a run that is held: nothing of it is loaded, its files are removed
  redeliver RUN                   delivers its files again
  dead [--limit N]                dead letters: messages that could not be handled
  dead replay ID                  sends one again
  dead discard ID [--yes]         removes one permanently
  notify [--limit N]              notifications: what was sent to outside receivers
  notify --test                   sends a test to all receivers, and shows what they answer
  why KEY [--pipeline NAME]       a record: its raw line, page, rules and files, what runs changed in it, when it was invalid
  verify [RUN|latest|all]         compares files, database and SFTP server; needs the pipeline's folders

  new URL [--name NAME]           asks a source a few times, and writes the definition pipelines/NAME.ts; never overwrites
    --header "Name: $VARIABLE"    sends a header; a secret is named by its variable
  try NAME                        asks for one page of a pipeline's source, and judges it; stores nothing

RUN is a run's number, its id, or latest. --json writes one JSON object a line. --limit is 20; of invalid --json, all.
ETL_API_URL names the API (else API_HOST and API_PORT do), API_TOKEN its token; .env is read too.
Exit codes: 0 done; 1 refused, failed or still invalid; 2 a command that can't be used; 3 the API can't be reached.`;

async function main(
  { values: { limit, ...others }, words: [name, ...words] }: ReturnType<typeof parsed<typeof OPTIONS>>,
): Promise<number> {
  const known = COMMANDS[name ?? ""];
  if (known === undefined) {
    complain(HELP);
    return EXIT.usage;
  }
  const [command, most, ...own] = known;
  const accepted = ["json", ...own] as const;
  parsed({
    help: `deno task etl ${name}${most > 0 ? " …" : ""} ${
      accepted.map((option) => `[--${option}]`).join(" ")
    }`,
    options: Object.fromEntries(accepted.map((option) => [option, OPTIONS[option]])),
    words: 1 + most,
  });
  const env = await readEnvironment();
  const config = loadConfig("etl", EtlVariables, env);
  const url = new URL(
    "/graphql",
    config.ETL_API_URL ?? `http://${reachable(config.API_HOST)}:${config.API_PORT}`,
  );
  const stop = new AbortController();
  Deno.addSignalListener("SIGINT", () => stop.signal.aborted ? Deno.exit(EXIT.failed) : stop.abort());
  return await command({
    api: new GraphqlClient(url.href, config.API_TOKEN),
    words,
    options: { ...others, limit: limit === undefined ? undefined : numberOf("limit", limit, { min: 1 }) },
    editor: config.VISUAL ?? config.EDITOR,
    signal: stop.signal,
    readEnv: (name) => env[name] || undefined,
  });
}

/** The address at which a server that listens on all addresses is reachable from this machine. */
function reachable(host: string): string {
  return host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
}

if (import.meta.main) {
  await runCommand({ help: HELP, options: OPTIONS, words: 3 }, main, (error) => {
    if (error instanceof Unreachable || error instanceof Unauthorized) return EXIT.unreachable;
    if (error instanceof Failed || error instanceof Refused) return EXIT.failed;
  });
}
