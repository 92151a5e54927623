/**
 * Sends requests to a source, at its own address or at a link that it gave. The credentials go to that source only, and
 * the request rate stays within the definition's limit.
 */
import { pause } from "../shared/actor/backoff.ts";
import { PermanentError, TransientError } from "../shared/errors/errors.ts";
import type { Resolved } from "../shared/pipeline/resolve.ts";
import { type Credentials, credentialsOf } from "./auth.ts";
import type { PageRequest } from "./paging/style.ts";
import { type AnySource, redacted } from "./source.ts";

const MAX_REDIRECTS = 5;

/** The HTTP client of one source. It pools connections, and uses the proxies of the usual environment variables. */
export class Access implements Disposable {
  readonly #url: URL;
  readonly #client: Deno.HttpClient;
  readonly #credentials: Credentials;
  readonly #origins: ReadonlySet<string>;
  readonly #gapMs: number;
  #freeAt = 0;

  constructor(private readonly source: Resolved<AnySource>) {
    this.#url = new URL(source.url);
    this.#client = Deno.createHttpClient({ poolMaxIdlePerHost: source.concurrency ?? 1 });
    this.#credentials = credentialsOf(source.auth, this.#client);
    this.#origins = new Set(source.origins?.map((origin) => new URL(origin).origin));
    this.#gapMs = source.rate === undefined ? 0 : 1_000 / source.rate;
  }

  /**
   * Waits until the next request may be sent. Call it before `ask`: this wait doesn't count as the source's response
   * time.
   */
  async turn(signal: AbortSignal): Promise<void> {
    if (this.#gapMs === 0) return;
    const now = performance.now();
    const at = Math.max(now, this.#freeAt);
    this.#freeAt = at + this.#gapMs;
    await pause(at - now, signal);
    signal.throwIfAborted();
  }

  /**
   * Requests a page and follows a few redirects. Refused are circular redirects, those from an encrypted to an
   * unencrypted connection, and those to an origin that the definition doesn't name.
   */
  async ask(request: PageRequest, signal: AbortSignal): Promise<{ response: Response; address: URL }> {
    const visited = new Set<string>();
    let [isAgain, isRenewed] = [false, false];
    for (let url = this.#addressOf(request);;) {
      if (isAgain) await this.turn(signal);
      isAgain = true;
      const headers = new Headers({ accept: "application/json" });
      const response = await this.#fetch(url, headers, signal);
      if (response.status === 401 && !isRenewed && this.#isOwn(url) && this.#credentials.refused?.(headers)) {
        isRenewed = true;
        await response.body?.cancel();
        continue;
      }
      visited.add(url.href);
      const location = response.headers.get("location");
      if (response.status < 301 || response.status > 308 || location === null) {
        return { response, address: url };
      }
      await response.body?.cancel();
      const next = URL.parse(location, url);
      if (next === null || !/^https?:$/.test(next.protocol)) {
        throw new TransientError(`HTTP ${response.status} redirects to what is no HTTP address`);
      }
      this.#credentials.unmark(next);
      if (visited.has(next.href)) throw new TransientError(`it redirects in a circle, to ${redacted(next)}`);
      if (visited.size > MAX_REDIRECTS) throw new TransientError(`more than ${MAX_REDIRECTS} redirects`);
      if (url.protocol === "https:" && next.protocol === "http:") {
        throw new TransientError(
          `it redirects from https to ${redacted(next)}, where records can be read on the way`,
        );
      }
      if (!this.#isAllowed(next)) throw new TransientError(`it redirects to ${foreign(next)}`);
      url = next;
    }
  }

  /** A link without the credentials that the source may have included in it. */
  link(address: string): string {
    const url = new URL(address);
    url.username = url.password = "";
    this.#credentials.unmark(url);
    return url.href;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  #addressOf(request: PageRequest): URL {
    if ("link" in request) {
      const url = new URL(request.link);
      if (!this.#isAllowed(url)) {
        throw new PermanentError(
          `Cannot follow the link to the next page of ${redacted(this.#url)}: it leads to ${foreign(url)}`,
        );
      }
      if (this.#isOwn(url)) {
        url.username = this.#url.username;
        url.password = this.#url.password;
      }
      return url;
    }
    const url = new URL(this.#url);
    for (const [name, value] of Object.entries({ ...this.source.query, ...request.query })) {
      url.searchParams.set(name, String(value));
    }
    return url;
  }

  async #fetch(url: URL, headers: Headers, signal: AbortSignal): Promise<Response> {
    const address = new URL(url);
    if (this.#isOwn(url)) {
      for (const [name, value] of Object.entries(this.source.headers ?? {})) headers.set(name, value);
      await this.#credentials.mark(address, headers, signal);
    }
    return await fetch(address, { redirect: "manual", headers, signal, client: this.#client });
  }

  #isOwn(url: URL): boolean {
    return url.origin === this.#url.origin;
  }

  #isAllowed(url: URL): boolean {
    return this.#isOwn(url) || this.#origins.has(url.origin);
  }
}

function foreign(url: URL): string {
  return `${url.origin}, which is another origin. If it belongs to the source, name it in source.origins`;
}
