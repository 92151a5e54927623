/**
 * Faults for the sample source, as they occur at real ones.
 *
 * @module
 */
import type { Handler } from "../../local/source/server.ts";

/** Responds to `request` in place of the source; `answer` is the source's own response. */
export type Fault = (request: Request, answer: Handler) => Response | Promise<Response>;

/** Adds faults to a source. Calls `plan` for each request, where `nth` counts from 1. For `SourceOptions.wrap`. */
export function withFaults(
  plan: (page: { skip: number; nth: number; tries: number }) => Fault | undefined,
): (answer: Handler) => Handler {
  let nth = 0;
  const tries = new Map<number, number>(); // skip -> number of requests for that page
  return (answer) => (request) => {
    const skip = Number(new URL(request.url).searchParams.get("skip") ?? 0);
    tries.set(skip, (tries.get(skip) ?? 0) + 1);
    const fault = plan({ skip, nth: ++nth, tries: tries.get(skip)! });
    return fault === undefined ? answer(request) : fault(request, answer);
  };
}

export function status(code: number, headers: HeadersInit = {}): Fault {
  return () => new Response("unwell", { status: code, headers });
}

/** Responds with this text and status 200. */
export function text(body: BodyInit, contentType = "application/json"): Fault {
  return () => new Response(body, { headers: { "content-type": contentType } });
}

/** Responds with this JSON and status 200. */
export function json(value: unknown): Fault {
  return () => Response.json(value);
}

/** Responds with the page of a proxy. */
export const html: Fault = text("<!doctype html><title>Down for maintenance</title>", "text/html");

/** Responds with half of the body, as if it were complete. */
export const truncated: Fault = async (request, answer): Promise<Response> => {
  const whole = await (await answer(request)).text();
  return new Response(whole.slice(0, whole.length / 2), { headers: { "content-type": "application/json" } });
};

/** Sends half of the body, then breaks the connection. */
export const reset: Fault = async (request, answer): Promise<Response> => {
  const whole = new Uint8Array(await (await answer(request)).arrayBuffer());
  let sent = false;
  return new Response(
    new ReadableStream({
      pull(body) {
        if (sent) body.error(new Error("The connection breaks on purpose."));
        else body.enqueue(whole.subarray(0, whole.length / 2));
        sent = true;
      },
    }),
    { headers: { "content-type": "application/json" } },
  );
};

export const silent: Fault = (): Promise<Response> => new Promise(() => {});

/** Sends the headers at once, then a few bytes every `everyMs` milliseconds, until the client disconnects. */
export function slowBody(everyMs: number): Fault {
  return () => {
    let timer: ReturnType<typeof setInterval> | undefined;
    return new Response(
      new ReadableStream<Uint8Array>({
        start(body) {
          timer = setInterval(() => body.enqueue(new TextEncoder().encode('{"users":[')), everyMs);
        },
        cancel() {
          clearInterval(timer);
        },
      }),
      { headers: { "content-type": "application/json" } },
    );
  };
}

/** Sends a small compressed body that decompresses to `bytes`. */
export function gzipBomb(bytes: number): Fault {
  return async () => {
    let left = bytes;
    const blanks = new Uint8Array(1 << 16).fill(32);
    const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull(body) {
        if (left <= 0) return body.close();
        body.enqueue(blanks.subarray(0, Math.min(left, blanks.length)));
        left -= blanks.length;
      },
    });
    const packed = await new Response(source.pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
    return new Response(packed, {
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
    });
  };
}

export function redirect(location: (request: URL) => string, code = 302): Fault {
  return (request) =>
    new Response(null, { status: code, headers: { location: location(new URL(request.url)) } });
}

/** Redirects the client back to the same address by way of another one. */
export const redirectCircle: Fault = redirect((url) => {
  const there = url.searchParams.has("there");
  if (there) url.searchParams.delete("there");
  else url.searchParams.set("there", "1");
  return url.href;
});

/** Redirects the client endlessly. */
export const redirectForEver: Fault = redirect((url) => {
  url.searchParams.set("hop", String(Number(url.searchParams.get("hop") ?? 0) + 1));
  return url.href;
});

/** Responds with the page at `skip`, labelled as the requested page. */
export function pageOf(skip: number): Fault {
  return async (request, answer) => {
    const url = new URL(request.url);
    const requested = url.searchParams.get("skip") ?? "0";
    url.searchParams.set("skip", String(skip));
    const body = await (await answer(new Request(url))).text();
    return text(body.replace(/"skip":\d+,"limit":(\d+)\}$/, `"skip":${requested},"limit":$1}`))(
      request,
      answer,
    );
  };
}

/** Responds with the right page and another total. */
export function totalOf(total: number): Fault {
  return async (request, answer) => {
    const body = await (await answer(request)).text();
    return text(body.replace(/"total":\d+,("skip":\d+,"limit":\d+\})$/, `"total":${total},$1`))(
      request,
      answer,
    );
  };
}

/** Responds with at most `limit` users, however many were requested. */
export function atMost(limit: number): Fault {
  return (request, answer) => {
    const url = new URL(request.url);
    url.searchParams.set("limit", String(limit));
    return answer(new Request(url));
  };
}

/** Applies the first fault to a page's first request, the next to its second, then none: a source that recovers. */
export function inTurn(...faults: readonly Fault[]): (page: { tries: number }) => Fault | undefined {
  return ({ tries }) => faults[tries - 1];
}
