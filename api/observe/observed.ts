import type { Logger } from "@logtape/logtape";
import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { Env } from "../http/env.ts";
import type { Metrics } from "./metrics.ts";

const CARRIED = {
  get: (headers: Headers, key: string) => headers.get(key) ?? undefined,
  keys: (headers: Headers) => [...headers.keys()],
};

/** Runs the request in a span that continues the caller's trace; records its route, never its query or body. */
export function observed(metrics: Metrics, log: Logger): MiddlewareHandler<Env> {
  return async (c, next) => {
    const started = performance.now();
    const { method, path } = c.req;
    const parent = propagation.extract(context.active(), c.req.raw.headers, CARRIED);
    const options = {
      kind: SpanKind.SERVER,
      attributes: { "http.request.method": method, "url.path": path },
    };
    await trace.getTracer("etl").startActiveSpan(method, options, parent, async (span) => {
      try {
        await next();
      } finally {
        const { status } = c.res;
        const route = status === 404 || status === 405 ? "" : routePath(c, -1).replace(/^\/?\*$/, "");
        span.updateName(route === "" ? method : `${method} ${route}`);
        span.setAttributes({ "http.route": route, "http.response.status_code": status });
        if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end();
        const seconds = (performance.now() - started) / 1000;
        metrics.http.observe({ method, route, status: String(status) }, seconds);
        log.debug("answered", { method, path, status, ms: Math.round(seconds * 1000) });
      }
    });
  };
}
