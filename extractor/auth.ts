/** How requests authenticate to a source. */
import { fetchFailure, PermanentError, TransientError } from "../shared/errors/errors.ts";
import type { ResolvedAuth } from "../shared/pipeline/resolve.ts";

export interface Credentials {
  /** Adds the credentials to a request to the source's own origin. */
  mark(url: URL, headers: Headers, signal: AbortSignal): Promise<void>;
  /** Removes what `mark` added to an address, as credentials must not be stored. */
  unmark(url: URL): void;
  /** Call it when the source answered 401 to a request with `headers`; returns whether a second request can succeed. */
  refused?(headers: Headers): boolean;
}

export function credentialsOf(auth: ResolvedAuth | undefined, client: Deno.HttpClient): Credentials {
  const withHeader = (name: string, value: string): Credentials => ({
    mark: (_, headers) => Promise.resolve(headers.set(name, value)),
    unmark: () => {},
  });
  if (auth === undefined) return { mark: () => Promise.resolve(), unmark: () => {} };
  if ("bearer" in auth) return withHeader("authorization", bearer(auth.bearer));
  if ("basic" in auth) return withHeader("authorization", basic(auth.basic[0], auth.basic[1]));
  if ("header" in auth) return withHeader(auth.header, auth.value);
  if ("query" in auth) {
    return {
      mark: (url) => Promise.resolve(url.searchParams.set(auth.query, auth.value)),
      unmark: (url) => url.searchParams.delete(auth.query),
    };
  }
  return new ClientCredentials(auth.oauth2, client);
}

function bearer(token: string | undefined): string {
  return `Bearer ${token}`;
}

function basic(user: string, password: string): string {
  return `Basic ${new TextEncoder().encode(`${user}:${password}`).toBase64()}`;
}

/** How long before its expiry a token is renewed, in milliseconds; less for short-lived tokens. */
const RENEW_BEFORE_MS = 60_000;

const TOKEN_TIMEOUT_MS = 30_000;

const MAX_TOKEN_BYTES = 1_000_000;

interface Token {
  readonly value: string;
  readonly renewAt: number;
}

/**
 * OAuth 2.0 with client credentials (RFC 6749, 4.4). The token is renewed before it expires, and once if the source
 * refuses it.
 */
class ClientCredentials implements Credentials {
  #token: Token | undefined;
  #coming: Promise<Token> | undefined;

  constructor(
    private readonly options: Extract<ResolvedAuth, { oauth2: unknown }>["oauth2"],
    private readonly client: Deno.HttpClient,
  ) {}

  async mark(_: URL, headers: Headers): Promise<void> {
    if (this.#token === undefined || Date.now() >= this.#token.renewAt) {
      this.#token = await (this.#coming ??= this.#ask().finally(() => this.#coming = undefined));
    }
    headers.set("authorization", bearer(this.#token.value));
  }

  unmark(): void {}

  refused(headers: Headers): boolean {
    // several concurrent requests may be refused with the old token: only the first one requests a new token
    if (headers.get("authorization") === bearer(this.#token?.value)) this.#token = undefined;
    return true;
  }

  /**
   * Sends client id and secret in the header, which every server must accept (RFC 6749, 2.3.1), or in the body if the
   * header is refused.
   */
  async #ask(): Promise<Token> {
    const { id, secret, scope } = this.options;
    const form = { grant_type: "client_credentials", ...scope === undefined ? {} : { scope } };
    const inHeader = await this.#post(form, { authorization: basic(encoded(id), encoded(secret)) });
    const { status, text } = [400, 401].includes(inHeader.status)
      ? await this.#post({ ...form, client_id: id, client_secret: secret }, {})
      : inHeader;
    const where = `Cannot get a token from ${new URL(this.options.token).host}`;
    if ([400, 401, 403].includes(status)) {
      throw new PermanentError(
        `${where}: HTTP ${status}. Check the client's id, secret and scope, and start a run.`,
      );
    }
    if (status !== 200) throw new TransientError(`${where}: HTTP ${status}`);
    const { access_token, expires_in } = parsed(text);
    if (typeof access_token !== "string" || access_token === "" || /[\r\n\0]/.test(access_token)) {
      throw new TransientError(`${where}: it answers without an access_token`);
    }
    const lifeMs = Number(expires_in ?? 3_600) * 1_000;
    return { value: access_token, renewAt: Date.now() + lifeMs - Math.min(RENEW_BEFORE_MS, lifeMs / 5) };
  }

  async #post(form: Record<string, string>, headers: HeadersInit): Promise<{ status: number; text: string }> {
    try {
      const response = await fetch(this.options.token, {
        method: "POST",
        body: new URLSearchParams(form),
        headers: { accept: "application/json", ...headers },
        redirect: "manual",
        signal: AbortSignal.timeout(TOKEN_TIMEOUT_MS),
        client: this.client,
      });
      let text = "";
      const decoder = new TextDecoder();
      for await (const piece of response.body ?? []) {
        text += decoder.decode(piece, { stream: true });
        if (text.length > MAX_TOKEN_BYTES) throw new TransientError("the answer is too long");
      }
      return { status: response.status, text };
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw new TransientError(
        `Cannot get a token from ${new URL(this.options.token).host}: ${fetchFailure(error)}`,
      );
    }
  }
}

function encoded(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}

function parsed(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
