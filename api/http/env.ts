import type { OpenAPIHono } from "@hono/zod-openapi";
import type { RequestInfo } from "../ports.ts";

export interface Env {
  /** What the server knows of it. */
  Bindings: RequestInfo;
  /** What the middleware found out. */
  Variables: {
    /** The caller: `anonymous`, or `token:` and the beginning of the token's SHA-256. */
    who: string;
  };
}

/** The app that routes are added to. */
export type ApiApp = OpenAPIHono<Env>;
