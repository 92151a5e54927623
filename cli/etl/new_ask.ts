/** Explores an unknown source. */
import { Access } from "../../extractor/access.ts";
import { isPageStatus, type PageRequest } from "../../extractor/paging/style.ts";
import { valueAt } from "../../extractor/paths.ts";
import type { AnySource } from "../../extractor/source.ts";
import { exactJson, isExactObject, parseExact } from "../../shared/pipeline/exact_json.ts";
import { isObject, type JsonObject } from "../../shared/pipeline/problems.ts";
import { type ReadEnv, resolved } from "../../shared/pipeline/resolve.ts";
import { fetchFailure } from "../../shared/errors/errors.ts";
import { UsageError } from "../command_line.ts";
import { Failed } from "./command.ts";

/** A value of an answer outside of its records, with its path. */
export interface Leaf {
  readonly place: string;
  readonly key: string;
  readonly value: unknown;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly address: URL;
  readonly body: unknown;
  /** What is at the source's path; undefined if nothing is. */
  readonly list: unknown;
  /** The records at the source's path; empty if there are none. */
  readonly records: readonly JsonObject[];
  /** All other values, except those in lists. */
  readonly leaves: readonly Leaf[];
}

const MOST_REQUESTS = 120;
const TIMEOUT_MS = 20_000;
const MOST_BYTES = 50_000_000;

/** The paging can't be found out. */
export class Unclear extends Failed {}

export class SourceProbe implements Disposable {
  requests = 0;
  /** Path of the list; undefined if the answer is the list. Set once it is known. */
  records: string | undefined;
  readonly #access: Access;

  constructor(readonly source: AnySource, readEnv: ReadEnv, private readonly signal: AbortSignal) {
    const { value, problems } = resolved(source, readEnv, "source");
    if (problems.length > 0) throw new UsageError(problems.join("\n"));
    this.#access = new Access(value);
  }

  /**
   * Sends a request with further parameters. @throws Failed if the source is unreachable; Unclear after the last
   * allowed request.
   */
  ask(query: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.#ask({ query });
  }

  follow(link: URL): Promise<Answer> {
    return this.#ask({ link: link.href });
  }

  async #ask(request: PageRequest): Promise<Answer> {
    if (++this.requests > MOST_REQUESTS) {
      throw new Unclear(`${MOST_REQUESTS} requests were not enough to find out its paging.`);
    }
    const signal = AbortSignal.any([this.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    try {
      const { response, address } = await this.#access.ask(request, signal);
      if (response.status === 429) {
        await response.body?.cancel();
        const after = response.headers.get("retry-after");
        throw new Failed(
          `The source limits requests (HTTP 429). Try again${after ? ` in ${after} s` : " later"}.`,
        );
      }
      let body: unknown, exact: unknown;
      const text = await response.text();
      if (text.length > MOST_BYTES) {
        throw new Failed("The answer is larger than 50 MB. Add a parameter that requests less.");
      }
      try {
        body = JSON.parse(text);
        exact = parseExact(text);
      } catch {
        body = undefined;
      }
      return {
        status: response.status,
        headers: response.headers,
        address,
        body,
        list: this.#listIn(body),
        records: isPageStatus(response.status) ? this.recordsIn(body) : [],
        leaves: leavesIn(exact),
      };
    } catch (error) {
      if (error instanceof Failed) throw error;
      throw new Failed(`Cannot request ${new URL(this.source.url).origin}: ${fetchFailure(error)}`);
    }
  }

  recordsIn(body: unknown): JsonObject[] {
    const list = this.#listIn(body);
    return Array.isArray(list) ? list.filter(isObject) : [];
  }

  #listIn(body: unknown): unknown {
    return this.records === undefined ? body : valueAt(body, this.records);
  }

  [Symbol.dispose](): void {
    this.#access[Symbol.dispose]();
  }
}

const DEPTH = 4;

/**
 * The values of an answer with their paths. Numbers of `parseExact` are given by their digits; keys with a dot are
 * found only at the top level.
 */
function leavesIn(body: unknown, path: readonly string[] = []): Leaf[] {
  if (!isExactObject(body) || path.length === DEPTH) return [];
  return Object.entries(body).flatMap(([key, value]) => {
    if (key.includes(".") && path.length > 0) return [];
    if (isExactObject(value)) return key.includes(".") ? [] : leavesIn(value, [...path, key]);
    if (Array.isArray(value)) return [];
    const shown = exactJson.isRawJSON(value) ? JSON.stringify(value) : value;
    return [{ place: [...path, key].join("."), key, value: shown }];
  });
}

const USUAL =
  /^(data|items?|results?|records?|values?|entries|content|rows|hits|list|objects|documents|members|elements)$/i;

/** The paths of the lists of objects, the most likely first; an undefined path means the answer itself. */
export function listsIn(body: unknown, address: URL): { place: string | undefined; length: number }[] {
  if (Array.isArray(body)) return body.some(isObject) ? [{ place: undefined, length: body.length }] : [];
  const found: { place: string; length: number; rank: number }[] = [];
  const noun = address.pathname.split("/").filter((part) => part !== "").at(-1)?.replace(/\.\w+$/, "");
  const visit = (value: unknown, path: readonly string[]) => {
    const key = path.at(-1) ?? "";
    if (Array.isArray(value)) {
      if (!value.some(isObject) || (key.includes(".") && path.length > 1)) return;
      const rank = (key === noun ? 4 : 0) + (USUAL.test(key) ? 2 : 0) - path.length;
      found.push({ place: path.join("."), length: value.length, rank });
    } else if (isObject(value) && path.length < DEPTH) {
      for (const [key, inner] of Object.entries(value)) visit(inner, [...path, key]);
    }
  };
  visit(body, []);
  return found.sort((a, b) => b.rank - a.rank || b.length - a.length);
}
