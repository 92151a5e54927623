/**
 * A proxy in front of the S3 server. Supports `If-None-Match: *`, as AWS does and Swift doesn't, and injects
 * faults.
 *
 * @module
 */
import { AwsClient } from "aws4fetch";
import type { S3Place } from "../../shared/files/s3/place.ts";

/**
 * Returns another response to a request; undefined for that of the server. `pass` returns the server's
 * response, optionally to another body.
 */
export type Fault = (
  request: Request,
  pass: (body?: Uint8Array<ArrayBuffer>) => Promise<Response>,
) => Promise<Response> | Response | undefined;

/** A running proxy. Disposing of it ends it and all its connections. */
export interface S3Proxy extends AsyncDisposable {
  /** The same bucket, through the proxy. */
  readonly place: S3Place;
  /** Method and path of each request, in order. */
  readonly requested: string[];
  /** The fault from now on. */
  fault: Fault;
}

/**
 * Starts a proxy. `conditional` sets how it handles `If-None-Match: *`: true applies it, `"ignored"` ignores
 * it; by default the server responds with 501.
 */
export function startS3Proxy(
  place: S3Place,
  { conditional = false }: { conditional?: boolean | "ignored" } = {},
): S3Proxy {
  const { accessKeyId, secretAccessKey, region, endpoint } = place;
  const signer = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });
  const requested: string[] = [];
  const stop = new AbortController();
  let turn: Promise<unknown> = Promise.resolve();

  const send = (request: Request, body: Uint8Array<ArrayBuffer> | undefined, condition?: string) => {
    const { pathname, search } = new URL(request.url);
    const headers = new Headers();
    for (const [name, value] of request.headers) {
      if (/^(x-amz-(content-sha256|copy-source)|range|if-match|content-type)$/.test(name)) {
        headers.set(name, value);
      }
    }
    if (condition !== undefined) headers.set("if-none-match", condition);
    const init = {
      method: request.method,
      headers,
      ...body === undefined || body.length === 0 ? {} : { body },
    };
    return signer.fetch(`${endpoint}${pathname}${search}`, { ...init, signal: stop.signal });
  };
  const conditionally = async (request: Request, body: Uint8Array<ArrayBuffer>): Promise<Response> => {
    const { pathname } = new URL(request.url);
    const there = await signer.fetch(`${endpoint}${pathname}`, { method: "HEAD", signal: stop.signal });
    await there.body?.cancel();
    if (there.status === 404) return await send(request, body);
    return answer(412, "PreconditionFailed");
  };
  const proxy: S3Proxy = {
    place: place,
    requested,
    fault: () => undefined,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await server.shutdown();
    },
  };
  const serve = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    requested.push(`${request.method} ${pathname.slice(place.bucket.length + 2)}${search}`);
    const pass = async (other?: Uint8Array<ArrayBuffer>) => {
      const body = other ?? await request.bytes();
      const condition = request.headers.get("if-none-match");
      if (condition === null || conditional === "ignored") return await send(request, body);
      if (!conditional) return await send(request, body, condition);
      // one after the other, so that check and write are a single step
      const answered = turn.then(() => conditionally(request, body));
      turn = answered.catch(() => {});
      return await answered;
    };
    return await (proxy.fault(request, pass) ?? pass());
  };
  const server = Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    onListen: () => {},
    signal: stop.signal,
    onError: () => answer(502, "BadGateway"),
  }, serve);
  return Object.assign(proxy, { place: { ...place, endpoint: `http://127.0.0.1:${server.addr.port}` } });
}

/** Returns a response that refuses a request, as the store would. */
export function answer(status: number, code: string, headers: Record<string, string> = {}): Response {
  return new Response(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`, { status, headers });
}

const STEP = 64 * 1024;

/** Returns a response that ends after its beginning: the connection breaks, or with `frozen` stays open. */
export async function cut(
  response: Response,
  bytes: number,
  { frozen = false }: { frozen?: boolean } = {},
): Promise<Response> {
  const whole = new Uint8Array(await response.arrayBuffer());
  const left = Promise.withResolvers<void>();
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (sent < bytes) return controller.enqueue(whole.subarray(sent, sent += Math.min(STEP, bytes - sent)));
      if (frozen) return await left.promise;
      controller.error(new Error("cut"));
    },
    cancel: () => left.resolve(),
  });
  return new Response(body, { status: response.status, headers: response.headers });
}
