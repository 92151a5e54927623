/**
 * An extractor in a separate process, to be killed. Handles one request on the data directory `data` of the
 * working directory, or on the bucket and database of its last argument. Prints a line after each page, and
 * at the end the message that it would publish, or the reason why there is none.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { compose } from "../../shared/actor/message.ts";
import { loadConfig } from "../../shared/config/config.ts";
import { StartRun } from "../../shared/contracts/messages.ts";
import { openFiles } from "../../shared/files/open.ts";
import type { S3Place } from "../../shared/files/s3/place.ts";
import { openExtractorState } from "../../shared/store/open.ts";
import { ExtractorVariables } from "../../extractor/config.ts";
import { extractor } from "../../extractor/extract.ts";
import { LocalState } from "../../extractor/state.ts";
import { patienceOf, sourceOf } from "../../extractor/source.ts";
import { usersPlan } from "./users.ts";

/** The bucket and the database that machines share. */
export interface Shared {
  readonly bucket: S3Place;
  readonly database: string;
  readonly leaseMs: number;
}

const [url, batchSize, requestText, sharedText] = Deno.args;
const shared: Shared | undefined = sharedText === undefined ? undefined : JSON.parse(sharedText);
const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
const request = StartRun.parse(JSON.parse(requestText!));
const env: Record<string, string | undefined> = { API_BASE_URL: url, BATCH_SIZE: batchSize };
const source = sourceOf(
  usersPlan,
  patienceOf(loadConfig("extractor", ExtractorVariables, env)),
  (name) => env[name],
);
await using opened = new AsyncDisposableStack();
const actor = extractor({
  sourceOf: () => source,
  files: openFiles(shared?.bucket ?? { folder: "data" }),
  state: shared === undefined
    ? new LocalState("data/state")
    : opened.use(await openExtractorState(shared.database, shared.leaseMs)),
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
}, plan).catch((error: Error) => {
  say(`failed ${JSON.stringify({ name: error.name, message: error.message })}`);
  return { outputs: [] };
});
for (const { to, name, fields } of outputs) {
  const { body } = compose(to, name, fields, { id: request.id!, published_at: request.published_at });
  say(`done ${body}`);
}
