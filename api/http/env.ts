import type { OpenAPIHono } from "@hono/zod-openapi";
import type { RequestInfo } from "../ports.ts";

export interface Env {
  Bindings: RequestInfo;
  Variables: {
    /** The caller: `anonymous`, or `token:` and the first digits of the token's SHA-256. */
    who: string;
  };
}

export type ApiApp = OpenAPIHono<Env>;
