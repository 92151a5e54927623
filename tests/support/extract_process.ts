/**
 * An extractor in a process of its own, to be killed: handles one request on the data directory `data` of the working directory, prints a line
 * after each page, and at last the message that it would publish.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { compose } from "../../shared/actor/message.ts";
import { loadConfig } from "../../shared/config/config.ts";
import { StartRun } from "../../shared/contracts/messages.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { ExtractorVariables } from "../../extractor/config.ts";
import { extractor } from "../../extractor/extract.ts";
import { LocalState } from "../../extractor/state.ts";
import { patienceOf, sourceOf } from "../../extractor/source.ts";
import { usersPlan } from "./users.ts";

const [url, batchSize, requestText] = Deno.args;
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
const request = StartRun.parse(JSON.parse(requestText!));
const env: Record<string, string | undefined> = { API_BASE_URL: url, BATCH_SIZE: batchSize };
const source = sourceOf(
  usersPlan,
  patienceOf(loadConfig("extractor", ExtractorVariables, env)),
  (name) => env[name],
);
const actor = extractor({
  sourceOf: () => source,
  files: new LocalFiles("data"),
  state: new LocalState("data/state"),
});
const { signal } = new AbortController();
const { plan, held } = await actor.plan!(request, signal);
using _held = held;
const { outputs } = await actor.handle(request, {
  attempt: 1,
  signal,
  log: getLogger("test"),
  progress: ({ done }) => say(`page ${done}`),
  tell: () => Promise.resolve(),
}, plan);
for (const { to, name, fields } of outputs) {
  const { body } = compose(to, name, fields, { id: request.id!, published_at: request.published_at });
  say(`done ${body}`);
}
