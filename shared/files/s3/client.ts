/** Sends signed requests to an S3-compatible store, with retries of transient errors and time limits. */
import { createHash } from "node:crypto";
import { AwsClient } from "aws4fetch";
import { pause } from "../../actor/backoff.ts";
import { NoSpace, TransientError } from "../../errors/errors.ts";
import { Absent, NotImplemented, refused, type Subject, Taken, unanswered } from "./failure.ts";
import { addressOf, type S3Place } from "./place.ts";
import { send } from "./send.ts";

export interface S3Patience {
  /** Attempts per request, the first one included. */
  readonly tries: number;
  /** The pause before the second attempt, doubled for each further one; milliseconds. */
  readonly delayMs: number;
  /** How long the store may neither send nor accept a byte, in milliseconds. */
  readonly silenceMs: number;
}

const PATIENCE: S3Patience = { tries: 5, delayMs: 200, silenceMs: 20_000 };

interface Request extends Subject {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** The key within the bucket; empty for the bucket itself. */
  readonly key: string;
  readonly query?: Record<string, string>;
  readonly body?: Uint8Array;
  /** Lower-case hexadecimal SHA-256 of the body. */
  readonly sha256?: string;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal | undefined;
}

/** A response whose body the caller reads. Disposing of it releases the connection. */
interface Answer extends Disposable {
  readonly response: Response;
  /** Awaits a step of the body; fails if the store sends nothing for too long. */
  step<T>(step: Promise<T>): Promise<T>;
}

interface Listed {
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly changedAt: number;
  /** The id of an unfinished upload. */
  readonly uploadId?: string;
}

/** Puts an object only if its name is free. */
export const IF_NEW = { "if-none-match": "*" };

const EMPTY = sha256Of(new Uint8Array());

/** Lower-case hexadecimal SHA-256. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** One store and one bucket. All methods throw `TransientError`, `PermanentError` or the reason of the signal. */
export class S3Client {
  readonly #signer: AwsClient;
  readonly #address: string;
  readonly #patience: S3Patience;
  #conditional: Promise<boolean> | undefined;

  constructor(readonly place: S3Place, patience: Partial<S3Patience> = {}) {
    const { accessKeyId, secretAccessKey, sessionToken, region } = place;
    this.#signer = new AwsClient({ accessKeyId, secretAccessKey, sessionToken, region, service: "s3" });
    this.#address = addressOf(place).href.replace(/\/$/, "");
    this.#patience = { ...PATIENCE, ...patience };
  }

  /** Sends a request and reads the whole response. @throws Absent if the object doesn't exist. */
  async ask(request: Request): Promise<{ headers: Headers; text: string }> {
    return await this.#persistently(request, async () => {
      using answer = await this.#send(request);
      const { headers } = answer.response;
      const text = await answer.step(answer.response.text());
      // some responses start before the store knows the outcome
      if (request.method !== "GET" && text.includes("<Error>")) {
        throw await this.#refusal(request, answer.response, text);
      }
      return { headers, text };
    });
  }

  /** Sends a request; the caller reads the response's body. @throws Absent if the object doesn't exist. */
  open(request: Request): Promise<Answer> {
    return this.#persistently(request, () => this.#send(request));
  }

  /** Puts an object, replacing an existing one; with `isNew`, only if the name is free. @throws Taken if it isn't. */
  async put(
    subject: Subject,
    key: string,
    body: Uint8Array,
    { sha256 = sha256Of(body), isNew = false } = {},
  ) {
    const request = { ...subject, method: "PUT", key, body, sha256 } as const;
    if (!isNew || !await this.isConditional()) return await this.ask(request);
    return await this.ask({ ...request, headers: IF_NEW });
  }

  /** Whether the store supports `If-None-Match: *`. Tested once with an object of its own, as a refusal may interrupt the upload of a body. */
  isConditional(): Promise<boolean> {
    return this.#conditional ??= this.#tryCondition().catch((error) => {
      this.#conditional = undefined;
      throw error;
    });
  }

  /** A store without support refuses the condition, or ignores it: then the second of two such objects replaces the first. */
  async #tryCondition(): Promise<boolean> {
    const { prefix } = this.place;
    const key = `${prefix === "" ? "" : `${prefix}/`}data/state/probe-${crypto.randomUUID()}`;
    const request = { action: "write", path: key, method: "PUT", key, headers: IF_NEW } as const;
    let refusal: unknown;
    for (let i = 0; i < 2 && refusal === undefined; i++) {
      await this.ask({ ...request, body: new Uint8Array() }).catch((error) => refusal = error);
    }
    if (refusal instanceof NotImplemented) return false;
    if (refusal !== undefined && !(refusal instanceof Taken)) throw refusal;
    await this.remove({ action: "remove", path: key }, key);
    return refusal !== undefined;
  }

  /** The metadata of an object; undefined if it doesn't exist. */
  async head(subject: Subject, key: string): Promise<Headers | undefined> {
    try {
      return (await this.ask({ ...subject, method: "HEAD", key })).headers;
    } catch (error) {
      if (error instanceof Absent) return undefined;
      throw error;
    }
  }

  /** The text of a small object; undefined if it doesn't exist. */
  async text(subject: Subject, key: string): Promise<string | undefined> {
    try {
      return (await this.ask({ ...subject, method: "GET", key })).text;
    } catch (error) {
      if (error instanceof Absent) return undefined;
      throw error;
    }
  }

  /** Removes an object; a missing one is ignored. */
  async remove(subject: Subject, key: string): Promise<void> {
    await this.ask({ ...subject, method: "DELETE", key }).catch((error) => {
      if (!(error instanceof Absent)) throw error;
    });
  }

  /** The objects whose keys begin with `prefix`, by their keys. */
  async *list(subject: Subject, prefix: string): AsyncGenerator<Listed> {
    for (let after: string | undefined = "";;) {
      const query = { "list-type": "2", prefix, ...after === "" ? {} : { "continuation-token": after } };
      const { text } = await this.ask({ ...subject, method: "GET", key: "", query });
      for (const [, one = ""] of text.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
        yield { key: valueIn(one, "Key")!, changedAt: Date.parse(valueIn(one, "LastModified") ?? "") };
      }
      after = valueIn(text, "NextContinuationToken");
      if (after === undefined) return;
    }
  }

  /** The unfinished uploads to keys that begin with `prefix`. */
  async *uploads(subject: Subject, prefix: string): AsyncGenerator<Listed> {
    for (let after: Record<string, string> = {};;) {
      const query = { uploads: "", prefix, ...after };
      const { text } = await this.ask({ ...subject, method: "GET", key: "", query });
      for (const [, one = ""] of text.matchAll(/<Upload>(.*?)<\/Upload>/gs)) {
        const [key, uploadId] = [valueIn(one, "Key")!, valueIn(one, "UploadId")!];
        yield { key, uploadId, changedAt: Date.parse(valueIn(one, "Initiated") ?? "") };
      }
      if (valueIn(text, "IsTruncated") !== "true") return;
      after = {
        "key-marker": valueIn(text, "NextKeyMarker") ?? "",
        "upload-id-marker": valueIn(text, "NextUploadIdMarker") ?? "",
      };
    }
  }

  /** Retries `work` a few times while it fails with a transient error. */
  async #persistently<T>(
    { signal }: { signal?: AbortSignal | undefined },
    work: () => Promise<T>,
  ): Promise<T> {
    for (let tried = 1;; tried += 1) {
      try {
        return await work();
      } catch (error) {
        // the actor waits for space
        if (signal?.aborted || !(error instanceof TransientError) || error instanceof NoSpace) throw error;
        await this.rest(tried, error, signal);
      }
    }
  }

  /** Waits after `failures` failures in a row; 0: not at all. @throws `error` after the last attempt. */
  async rest(failures: number, error: TransientError, signal: AbortSignal | undefined): Promise<void> {
    const { tries, delayMs, silenceMs } = this.#patience;
    if (failures >= tries) throw error;
    if (failures === 0) return;
    const wait = delayMs * 2 ** (failures - 1) * (0.5 + Math.random() / 2);
    await pause(Math.min(Math.max(wait, error.retryAfterMs ?? 0), silenceMs), signal);
    signal?.throwIfAborted();
  }

  async #send(request: Request): Promise<Answer> {
    const { method, key, query = {}, body, sha256 = EMPTY, headers = {}, signal } = request;
    const path = key === "" ? "" : `/${key.split("/").map(encoded).join("/")}`;
    const search = Object.entries(query).map(([name, value]) => `${name}=${encoded(value)}`).join("&");
    const url = `${this.#address}${path || "/"}${search === "" ? "" : `?${search}`}`;
    const patience = this.#patience.silenceMs;
    const watch = new Watch(patience, signal);
    const failure = (error: unknown) =>
      signal?.aborted
        ? signal.reason
        : unanswered(request, this.place, watch.isSilent ? silence(patience) : error);
    try {
      const signed = await this.#signer.sign(url, {
        method,
        headers: { "x-amz-content-sha256": sha256, ...headers },
      });
      const { headers: signedHeaders } = signed;
      const response = await watch.step(
        body === undefined || body.length === 0
          ? fetch(url, { method, headers: signedHeaders, redirect: "manual", signal: watch.signal })
          : send(url, {
            method,
            headers: signedHeaders,
            body,
            signal: watch.signal,
            onProgress: () => watch.progress(),
          }),
      );
      if (!response.ok) {
        const text = await watch.step(response.text());
        throw await this.#refusal(request, response, text);
      }
      return {
        response,
        step: (step) => watch.step(step).catch((error) => Promise.reject(failure(error))),
        [Symbol.dispose]: () => watch[Symbol.dispose](),
      };
    } catch (error) {
      watch[Symbol.dispose]();
      throw failure(error);
    }
  }

  async #refusal(
    request: Request,
    { ok, status: answered, headers }: Response,
    text: string,
  ): Promise<Error> {
    const status = ok ? 500 : answered;
    // a response to HEAD has no body, so no error code; GET has one
    if (request.method === "HEAD" && (status === 400 || status === 403)) {
      await this.ask({ ...request, method: "GET", headers: { range: "bytes=0-0" } });
    }
    const code = valueIn(text, "Code") ?? "";
    const [date, retryAfter] = [headers.get("date"), headers.get("retry-after")];
    return refused(request, this.place, { status, code, date, retryAfter });
  }
}

/** The text of the first element called `name`. */
export function valueIn(xml: string, name: string): string | undefined {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return found?.replace(
    /&(quot|apos|lt|gt|amp|#\d+);/g,
    (_, entity) =>
      entity.startsWith("#") ? String.fromCodePoint(Number(entity.slice(1))) : ENTITIES[entity as never],
  );
}

const ENTITIES = { quot: '"', apos: "'", lt: "<", gt: ">", amp: "&" };

/** Percent-encodes a text as signatures require. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function silence(ms: number): Error {
  return new Error(`no answer for ${Math.round(ms / 1_000)} s`);
}

/** Aborts a request without progress for too long. */
class Watch implements Disposable {
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  isSilent = false;

  constructor(private readonly patienceMs: number, signal: AbortSignal | undefined) {
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort);
    if (signal?.aborted) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  readonly #abort = () => this.#stop.abort(this.#signal?.reason);

  /** Starts or restarts the timer. */
  progress(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.isSilent = true;
      this.#stop.abort(silence(this.patienceMs));
    }, this.patienceMs);
  }

  async step<T>(step: Promise<T>): Promise<T> {
    this.progress();
    try {
      return await step;
    } finally {
      clearTimeout(this.#timer);
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#stop.abort();
  }
}
