/** Headers of every answer. */
import type { MiddlewareHandler } from "hono";
import type { Env } from "./env.ts";

/**
 * Tells browsers not to guess types, not to show answers in frames, and not to store answers that may contain personal
 * data.
 */
export function secured(): MiddlewareHandler<Env> {
  return async (c, next) => {
    await next();
    const { headers } = c.res;
    headers.set("x-content-type-options", "nosniff");
    headers.set("x-frame-options", "DENY");
    headers.set("referrer-policy", "no-referrer");
    headers.set("cross-origin-opener-policy", "same-origin");
    headers.set("cross-origin-resource-policy", "same-site");
    if (!headers.has("content-security-policy")) {
      headers.set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
    }
    if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
  };
}
