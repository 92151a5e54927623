/** Checks the body of every request: its length, and that it is UTF-8. */
import { Buffer, isUtf8 } from "node:buffer";
import type { MiddlewareHandler } from "hono";
import type { Env } from "./env.ts";
import { detail } from "../json.ts";
import { Unprocessable } from "./unprocessable.ts";

/**
 * Reads the body. Answers 413 if it is longer than `most` bytes, and 422 if it isn't UTF-8. Only POST routes accept a
 * body, so those of other methods aren't read. (hono's `bodyLimit` makes a `Request` of the server's own object, which
 * Deno refuses.)
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
