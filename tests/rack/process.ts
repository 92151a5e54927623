/**
 * An extractor in a separate process, to be killed. Handles one request and exits.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { extractor } from "../../extractor/extract.ts";
import { type AnySource, sourceOf } from "../../extractor/source.ts";
import { LocalState } from "../../extractor/state.ts";
import users from "../../pipelines/users.ts";
import { pause } from "../../shared/actor/backoff.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { planOf } from "../../shared/pipeline/plan.ts";
import { thingsOf } from "../support/things.ts";

/** The argument of the process, as JSON. */
export interface Order {
  readonly data: string;
  readonly url: string;
  readonly name: "things" | "users";
  readonly source: Omit<AnySource, "url">;
}

const { data, url, name, source } = JSON.parse(Deno.args[0]!) as Order;
const patience = { timeoutMs: 10_000, maxBytes: 50_000_000, maxRetries: 1, retryDelaysMs: [0], sleep: pause };
const env: Record<string, string> = { API_BASE_URL: url, BATCH_SIZE: "10" };
const definition = name === "users" ? users : thingsOf(source, url);
using own = sourceOf(planOf(definition), patience, (variable) => env[variable]);
const files = new LocalFiles(data);
const actor = extractor({ sourceOf: () => own, files, state: new LocalState(`${data}/state`) });
const { signal } = new AbortController();
const request = { id: "killed", run_id: newRunId(), pipeline: name, requested_by: "rack" };
const { plan, held } = await actor.plan!(request, signal);
using _held = held;
const handling = {
  attempt: 1,
  signal,
  log: getLogger("rack"),
  progress: () => {},
  tell: () => Promise.resolve(),
};
await actor.handle(request, handling, plan);
