/**
 * Sign-in for browsers, if a token is required: browsers can't send a token when they open a page, so a cookie replaces
 * it.
 */
import { z } from "@hono/zod-openapi";
import { setCookie } from "hono/cookie";
import type { ApiApp } from "../http/env.ts";
import { isToken, SESSION_COOKIE, SESSION_SECONDS, sessionOf } from "../http/guard.ts";
import { fit, jsonBody } from "../http/unprocessable.ts";
import { detail } from "../json.ts";
import type { ApiPorts } from "../ports.ts";

const SignIn = z.object({ token: z.string().max(1000) });

/**
 * Adds `POST /session`, which exchanges the token for a browser session. Scripts can't read its cookie, and other sites
 * can't send it.
 */
export function addSession(app: ApiApp, { config, clock = Date.now }: ApiPorts): void {
  app.post("/session", async (c) => {
    const { token } = fit(SignIn, "body", await jsonBody(c.req.raw));
    if (config.API_TOKEN === undefined || !isToken(token, config.API_TOKEN)) {
      return detail(401, "Not authenticated");
    }
    setCookie(c, SESSION_COOKIE, sessionOf(config.API_TOKEN, clock()), {
      httpOnly: true,
      sameSite: "Strict",
      path: "/",
      maxAge: SESSION_SECONDS,
    });
    return c.json({ status: "signed in" });
  });
}
