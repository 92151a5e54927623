/**
 * Faults for the sample source: each stands for a way in which a real one fails.
 *
 * @module
 */
import type { Handler } from "../../local/source/server.ts";

/** Answers `request` in place of the source; `answer` is how the source would. */
export type Fault = (request: Request, answer: Handler) => Response | Promise<Response>;

/** Puts faults in front of a source: `plan` is asked for each request, `nth` counting them from 1. For `SourceOptions.wrap`. */
export function withFaults(
  plan: (page: { skip: number; nth: number; tries: number }) => Fault | undefined,
): (answer: Handler) => Handler {
  let nth = 0;
  const tries = new Map<number, number>(); // skip -> requests for that page
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

/** Answers with this text as if all were well. */
export function text(body: BodyInit, contentType = "application/json"): Fault {
  return () => new Response(body, { headers: { "content-type": contentType } });
}

/** Answers with this JSON as if all were well. */
export function json(value: unknown): Fault {
  return () => Response.json(value);
}

/** A proxy's page in place of the answer. */
export const html: Fault = text("<!doctype html><title>Down for maintenance</title>", "text/html");

/** Half of the answer, as if it were the whole. */
export const truncated: Fault = async (request, answer): Promise<Response> => {
  const whole = await (await answer(request)).text();
  return new Response(whole.slice(0, whole.length / 2), { headers: { "content-type": "application/json" } });
};

/** Half of the answer, then the connection breaks. */
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

/** The headers at once, then a few bytes each `everyMs` milliseconds, until the client leaves. */
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

/** A small compressed answer that becomes `bytes` long. */
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

/** Sends the client back to where it came from, by way of another address. */
export const redirectCircle: Fault = redirect((url) => {
  const there = url.searchParams.has("there");
  if (there) url.searchParams.delete("there");
  else url.searchParams.set("there", "1");
  return url.href;
});

/** Sends the client on and on. */
export const redirectForEver: Fault = redirect((url) => {
  url.searchParams.set("hop", String(Number(url.searchParams.get("hop") ?? 0) + 1));
  return url.href;
});

/** Answers with the page at `skip` but says that it's the one that was asked for. */
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

/** The right page with another total. */
export function totalOf(total: number): Fault {
  return async (request, answer) => {
    const body = await (await answer(request)).text();
    return text(body.replace(/"total":\d+,("skip":\d+,"limit":\d+\})$/, `"total":${total},$1`))(
      request,
      answer,
    );
  };
}

/** No more than `limit` users, however many were asked for. */
export function atMost(limit: number): Fault {
  return (request, answer) => {
    const url = new URL(request.url);
    url.searchParams.set("limit", String(limit));
    return answer(new Request(url));
  };
}

/** The first fault that a page meets, then the next, then none: for a source that recovers. */
export function inTurn(...faults: readonly Fault[]): (page: { tries: number }) => Fault | undefined {
  return ({ tries }) => faults[tries - 1];
}
