import { pause } from "../../shared/actor/backoff.ts";
import { parseExact } from "../../shared/pipeline/exact_json.ts";
import { isObject } from "../../shared/pipeline/problems.ts";

/** `answer` is never set; it only carries the type. */
export type Operation<Data> = string & { readonly answer?: Data };
export type AnswerOf<T> = T extends Operation<infer Data> ? Data : never;
export type Variables = Readonly<Record<string, unknown>>;

export class Unauthorized extends Error {
  override readonly name: string = "Unauthorized";
}

/** The API is unreachable, or can't answer now; a later request may succeed. */
export class Unreachable extends Error {
  override readonly name: string = "Unreachable";
}

export class Refused extends Error {
  override readonly name: string = "Refused";
}

/** The wait before the first reconnection, in milliseconds; it doubles up to `LONGEST_WAIT_MS`. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;

/** The API has something at its address, and takes a POST there: these come from another web server. */
const OF_ANOTHER_SERVER = [404, 405, 501];

/** A client of one API. Whole numbers in answers keep all their digits. */
export class GraphqlClient {
  /** A client of the API whose GraphQL endpoint is `url`. In a browser the session's cookie replaces the token. */
  constructor(private readonly url: string, private readonly token?: string) {}

  /**
   * Runs a query or mutation.
   *
   * @throws Unauthorized, Unreachable or Refused
   */
  async ask<Data>(
    operation: Operation<Data>,
    variables: Variables = {},
    signal?: AbortSignal,
  ): Promise<Data> {
    const response = await this.#post(operation, variables, "application/json", signal);
    const text = await response.text().catch((error) => {
      throw signal?.aborted ? error : this.#away();
    });
    return dataOf<Data>(text, this.url);
  }

  /**
   * Follows a subscription until the signal. A broken connection is reopened. Events are missed meanwhile, so `onState`
   * is called when the connection is up (read again then) and when it is down.
   *
   * @throws Unauthorized or Refused
   */
  async *follow<Data>(
    operation: Operation<Data>,
    signal: AbortSignal,
    onState: (up: boolean) => void = () => {},
  ): AsyncGenerator<Data> {
    for (let waitMs = FIRST_WAIT_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      try {
        const response = await this.#post(operation, {}, "text/event-stream", signal);
        waitMs = FIRST_WAIT_MS;
        onState(true);
        for await (const data of nextEvents(response.body!)) yield dataOf<Data>(data, this.url);
      } catch (error) {
        if (signal.aborted) return;
        // `fetch` reports a broken stream as a TypeError
        if (!(error instanceof Unreachable || error instanceof TypeError)) throw error;
      }
      if (signal.aborted) return;
      onState(false);
      await pause(waitMs, signal);
    }
  }

  #away(): Unreachable {
    return new Unreachable(`Cannot reach the API at ${this.url}. Start it, or try again later.`);
  }

  async #post(query: string, variables: Variables, accept: string, signal?: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(this.url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept,
          ...(this.token === undefined ? {} : { authorization: `Bearer ${this.token}` }),
        },
        body: JSON.stringify({ query, variables }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw this.#away();
    }
    if (response.ok || response.status === 400) return response;
    await response.body?.cancel();
    if (response.status === 401) {
      throw new Unauthorized("The API requires a token: set it to the value of its API_TOKEN.");
    }
    if (OF_ANOTHER_SERVER.includes(response.status)) {
      throw notOfTheApi(this.url, `${response.status} ${response.statusText}, which no ETL API answers`);
    }
    const text = `The API at ${this.url} answered ${response.status} ${response.statusText}.`;
    throw response.status >= 500 ? new Unreachable(`${text} Try again later.`) : new Refused(text);
  }
}

interface Answer<Data> {
  readonly data?: Data;
  readonly detail?: string;
  readonly errors?: readonly { message: string; extensions?: { code?: string } }[];
}

function dataOf<Data>(text: string, url: string): Data {
  const { data, errors, detail } = answerIn<Data>(text, url);
  const error = Array.isArray(errors) ? errors[0] : undefined;
  if (typeof error?.message === "string") {
    throw error.extensions?.code === "SERVICE_UNAVAILABLE"
      ? new Unreachable(error.message)
      : new Refused(error.message);
  }
  if (data != null) return data;
  throw typeof detail === "string" ? new Refused(detail) : notOfTheApi(url, "without data");
}

function answerIn<Data>(text: string, url: string): Answer<Data> {
  try {
    const answer = parseExact(text);
    if (isObject(answer)) return answer;
  } catch {
    // the page of another server
  }
  throw notOfTheApi(url, "no JSON object");
}

function notOfTheApi(url: string, what: string): Refused {
  return new Refused(
    `Cannot use the answer of "${url}": it is ${what}, wanted an answer of the API. ` +
      "Name the API's address in ETL_API_URL, or in API_HOST and API_PORT.",
  );
}

/** The `data` of each `next` event of a stream of server-sent events. */
async function* nextEvents(body: ReadableStream<BufferSource>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop()!;
      for (const event of events) {
        const lines = event.split("\n");
        const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
        if (lines.includes("event: next")) yield data.join("\n");
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
