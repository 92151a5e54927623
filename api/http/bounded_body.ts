/** What holds for the body of every request: a bound, and UTF-8. */
import { Buffer, isUtf8 } from "node:buffer";
import type { MiddlewareHandler } from "hono";
import type { Env } from "./env.ts";
import { detail } from "../json.ts";
import { Unprocessable } from "./unprocessable.ts";

/**
 * Reads the body, and answers 413 where it is longer than `most` bytes, 422 where it is not UTF-8. Only POST routes take a body, so those of
 * other methods are left unread. (hono's `bodyLimit` makes a `Request` of the server's own object, which Deno refuses.)
 */
export function boundedBody(most: number): MiddlewareHandler<Env> {
  const tooLarge = () => detail(413, `Request body is larger than ${most} bytes.`);
  return async (c, next) => {
    const { raw } = c.req;
    if (raw.method !== "POST" || raw.body === null) return await next();
    if (Number(raw.headers.get("content-length")) > most) return tooLarge();
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of raw.body) {
      length += piece.length;
      if (length > most) return tooLarge();
      pieces.push(piece);
    }
    const body = Buffer.concat(pieces);
    if (!isUtf8(body)) {
      throw new Unprocessable([{
        type: "json_invalid",
        loc: ["body", 0],
        msg: "JSON decode error",
        input: {},
        ctx: { error: "The body is not UTF-8" },
      }]);
    }
    const { url, method, headers, signal } = raw;
    c.req.raw = new Request(url, { method, headers, signal, body });
    await next();
  };
}
