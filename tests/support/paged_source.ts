/**
 * A source of any shape, and extractors for it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { PermanentError } from "../../shared/errors/errors.ts";
import type { Done, Handling } from "../../shared/actor/actor.ts";
import { extractor, type ExtractorParts } from "../../extractor/extract.ts";
import { LocalState } from "../../extractor/state.ts";
import type { AnySource, Patience } from "../../extractor/source.ts";
import { after, changeStanding } from "../../extractor/standing.ts";
import type { Phase1Complete } from "../../shared/contracts/messages.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import users from "../../pipelines/users.ts";
import { quiet, request, sourceIn } from "./extraction.ts";
import { thingsOf } from "./things.ts";

/** Returns the response to the `nth` request, counted from 1, which came from `port`. */
export type Answer = (
  request: { url: URL; headers: Headers; nth: number; port: number },
) => Response | Promise<Response>;

/** A listening source and a data directory. Disposing of it ends and removes both. */
export interface PagedSource extends AsyncDisposable {
  readonly origin: string;
  readonly data: string;
  /** Path and query of each request, in order. */
  readonly requested: string[];
  readonly state: string;
  /** Called with the number of each request before the response. */
  onRequest: (nth: number) => void | Promise<void>;
  /**
   * Extracts from `source` in a new extractor: a new run, or the unfinished one. Aborts after `pages` pages,
   * as if the process ended. Unless `isLoaded` is false, the run counts as loaded. Returns the lines of the
   * raw file.
   */
  extract(source: Omit<AnySource, "url"> & { url?: string }, options?: Options): Promise<Extracted>;
  /** Extracts, and returns the reason why the run failed. @throws AssertionError unless it failed for good */
  failure(source: Omit<AnySource, "url">): Promise<string>;
  /** Returns the names of the raw files, including part files. */
  rawFiles(): Promise<string[]>;
}

interface Options extends Partial<ExtractorParts> {
  /** The pipeline: `things` use the given source, `users` that of their definition. */
  readonly name?: "things" | "users";
  readonly pages?: number;
  readonly isLoaded?: boolean;
  readonly env?: Record<string, string>;
  readonly patience?: Partial<Patience>;
}

export interface Extracted extends Done {
  readonly lines: readonly string[];
}

/** The service stops; the next one resumes its work. */
export class Stopped extends Error {}

export function numbered(n: number, from = 1): { id: number }[] {
  return Array.from({ length: n }, (_, i) => ({ id: from + i }));
}

/** Starts a source that responds with `answer`. */
export async function startPaged(answer: Answer): Promise<PagedSource> {
  const data = await Deno.makeTempDir({ prefix: "paged-" });
  const files = new LocalFiles(data);
  const state = new LocalState(`${data}/state`);
  const requested: string[] = [];
  let nth = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request, info) => {
    const url = new URL(request.url);
    requested.push(`${url.pathname}${url.search}`);
    const response = answer({ url, headers: request.headers, nth: ++nth, port: info.remoteAddr.port });
    await paged.onRequest(nth);
    return response;
  });
  const origin = `http://127.0.0.1:${server.addr.port}`;
  const paged: PagedSource = {
    origin,
    data,
    requested,
    onRequest: () => {},
    state: `${data}/state/things.json`,
    async extract(source, options = {}) {
      const { name = "things", pages = Infinity, isLoaded = true, env = {}, patience, ...parts } = options;
      const url = `${origin}/things`;
      const definition = name === "users" ? users : thingsOf(source, url);
      using own = sourceIn(definition, { API_BASE_URL: url, BATCH_SIZE: "10", ...env }, patience);
      const actor = extractor({
        sourceOf: () => own,
        files,
        state,
        now: () => Date.UTC(2026, 10, 24, 3),
        ...parts,
      });
      const stop = new AbortController();
      let seen = 0;
      const handling: Partial<Handling> = {
        signal: stop.signal,
        progress: () => ++seen >= pages && stop.abort(new Stopped("The service stops.")),
      };
      const asking = request({ pipeline: name });
      const { plan, held } = await actor.plan!(asking, stop.signal);
      using _held = held;
      const done = await actor.handle(asking, quiet(handling), plan);
      const { raw_file, run_id, since } = done.outputs[0]!.fields as Phase1Complete;
      if (isLoaded) {
        const outcome = { run_id, pipeline: name, outcome: "loaded" as const, since };
        await changeStanding(state, name, (standing) => after(standing, outcome, Date.now()), stop.signal);
      }
      return { ...done, lines: (await Deno.readTextFile(raw_file)).split("\n").slice(0, -1) };
    },
    async failure(source) {
      const error = await paged.extract(source).then(() => undefined, (error) => error);
      assert.ok(error instanceof PermanentError, String(error));
      return error.message;
    },
    async rawFiles() {
      const names = await Array.fromAsync(Deno.readDir(`${data}/raw_things`), ({ name }) => name);
      return names.sort();
    },
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await Deno.remove(data, { recursive: true });
    },
  };
  return paged;
}
