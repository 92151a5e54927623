/**
 * Tools for tests of the extractor.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { sampleSource, type SourceOptions, startSource } from "../../local/source.ts";
import type { Done, Handling } from "../../shared/actor/actor.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { type Phase1Complete, StartRun } from "../../shared/contracts/messages.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { extractor, type ExtractorParts } from "../../extractor/extract.ts";
import { JsonBytes } from "../../shared/files/json_bytes.ts";
import { recordPaths, Records } from "../../extractor/records.ts";
import { LocalState } from "../../extractor/state.ts";
import { type Patience, type Source, sourceOf } from "../../extractor/source.ts";
import { type AnyPipeline, planOf } from "../../shared/pipeline/plan.ts";
import { usersPlan } from "./users.ts";

/** The start time of the tests' runs. */
export const START: number = Date.UTC(2026, 10, 24, 3, 0, 7);
/** The raw file of a run that starts then. */
export const RAW_FILE = "records_20261124_030007.jsonl";

/** A data directory, a source, and extractors. */
export interface TestPipeline extends AsyncDisposable {
  readonly data: string;
  /** The data directory, as handlers see it. */
  readonly files: LocalFiles;
  /** `skip` of each requested page. */
  readonly requested: number[];
  readonly state: string;
  readonly source: string;
  actor(parts?: Partial<ExtractorParts>): ReturnType<typeof extractor>;
  /** Handles a request as the actor would; returns the result and the events before it. */
  handle(request: StartRun, parts?: Partial<ExtractorParts>, handling?: Partial<Handling>): Promise<Handled>;
  /** Returns the text of a raw file. */
  raw(name?: string): Promise<string>;
  /** Returns the names of the raw files. */
  rawFiles(): Promise<string[]>;
}

export interface Handled extends Done {
  /** The run that the actor would report. */
  readonly about: string;
  /** Fields of the events that were sent before the end. */
  readonly events: unknown[];
  /** Fields of the output; empty if there is none. */
  readonly message: Partial<Phase1Complete>;
}

/** Returns a `Handling` that does nothing, with the members of `change` replaced. */
export function quiet(change: Partial<Handling> = {}): Handling {
  return {
    attempt: 1,
    signal: new AbortController().signal,
    log: getLogger("test"),
    progress: () => {},
    tell: () => Promise.resolve(),
    ...change,
  };
}

/** One retry, without delay. */
const PATIENCE: Patience = {
  timeoutMs: 10_000,
  maxBytes: 50_000_000,
  maxRetries: 1,
  retryDelaysMs: [1],
  sleep: () => Promise.resolve(),
};

/** Returns the source of `users` at `url`, in pages of `size`. */
export function usersSource(url: string, size = 100, patience: Partial<Patience> = {}): Source {
  const env: Record<string, string> = { API_BASE_URL: url, BATCH_SIZE: String(size) };
  return sourceOf(usersPlan, { ...PATIENCE, ...patience }, (name) => env[name]);
}

/** Returns the source of a definition, with the variables of `env`. */
export function sourceIn(
  definition: AnyPipeline,
  env: Record<string, string> = {},
  patience: Partial<Patience> = {},
): Source {
  return sourceOf(planOf(definition), { ...PATIENCE, ...patience }, (name) => env[name]);
}

/** Starts a source and creates a data directory. Retries have no delay. */
export async function startPipeline(
  options: SourceOptions & { batchSize?: number } = {},
): Promise<TestPipeline> {
  const data = await Deno.makeTempDir();
  const requested: number[] = [];
  const running = await startSource({
    ...options,
    wrap: (answer) => {
      const wrapped = (options.wrap ?? ((it) => it))(answer);
      return (request) => {
        requested.push(Number(new URL(request.url).searchParams.get("skip")));
        return wrapped(request);
      };
    },
  });
  const files = new LocalFiles(data);
  const source = usersSource(running.url, options.batchSize);
  const actor = (parts: Partial<ExtractorParts> = {}) =>
    extractor({
      sourceOf: () => source,
      files,
      state: new LocalState(`${data}/state`),
      now: () => START,
      ...parts,
    });
  return {
    data,
    files,
    requested,
    state: `${data}/state/extractor_state.json`,
    actor,
    source: source.name,
    async handle(request, parts, handling) {
      const events: unknown[] = [];
      const one = actor(parts);
      const { runId: about, plan, held } = await one.plan!(request, quiet(handling).signal);
      using _held = held;
      const tell: Handling["tell"] = ({ fields }) => Promise.resolve(void events.push(fields));
      const done = await one.handle(request, quiet({ tell, ...handling }), plan);
      return { about, events, ...done, message: messageOf(done) };
    },
    raw: (name = RAW_FILE) => Deno.readTextFile(`${data}/raw_users/${name}`),
    async rawFiles() {
      const names: string[] = [];
      for await (const { name } of Deno.readDir(`${data}/raw_users`)) names.push(name);
      return names.sort();
    },
    async [Symbol.asyncDispose]() {
      source[Symbol.dispose]();
      await running.close();
      await Deno.remove(data, { recursive: true });
    },
  };
}

function messageOf(done: Done): Partial<Phase1Complete> {
  return (done.outputs[0]?.fields ?? {}) as Partial<Phase1Complete>;
}

let requests = 0;

/** Returns a request for a run. */
export function request(change: Partial<StartRun> = {}): StartRun {
  return StartRun.parse({ id: `request-${++requests}`, run_id: newRunId(), requested_by: "test", ...change });
}

/** Returns the raw file of an uninterrupted run. */
export async function expected(options: SourceOptions = {}): Promise<string> {
  const answer = await sampleSource(options)(new Request("http://source/users?limit=0"));
  return linesOf(await answer.text()).map((line) => `${line}\n`).join("");
}

/** Returns the records in the list `users` at the beginning of `text`, as lines of a raw file. */
export function linesOf(text: string): string[] {
  const bytes = new TextEncoder().encode(text);
  const records = new Records(bytes, new JsonBytes(bytes), text.indexOf("["), recordPaths("id"));
  return new TextDecoder().decode(records.intoLines(() => true)).split("\n").slice(0, -1);
}
