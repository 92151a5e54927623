/** Controls access to the API: checks the host name and the token. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { getCookie } from "hono/cookie";
import type { Env } from "./env.ts";
import { detail } from "../json.ts";
import { signInPage } from "./sign_in.ts";

export const SESSION_COOKIE = "etl_session";

/** The duration of a browser's session, in seconds: twelve hours. */
export const SESSION_SECONDS: number = 12 * 3600;

/** Routes without a token: health checks have none. */
const OPEN = new Set(["/healthz", "/readyz", "/session"]);

/**
 * Refuses requests with an unknown host name, for example from a page whose name was rebound to this machine (DNS
 * rebinding).
 */
export function allowedHosts(hosts: readonly string[]): MiddlewareHandler<Env> {
  const allowed = new Set(hosts.map((host) => host.toLowerCase()));
  return async (c, next) => {
    const host = c.req.header("host") ?? new URL(c.req.url).host;
    const name = host.replace(/:\d*$/, "").toLowerCase();
    if (!allowed.has("*") && !allowed.has(name)) {
      return detail(
        400,
        `Host ${JSON.stringify(name)} is not allowed. Call a name of ALLOWED_HOSTS, or add this one to it.`,
      );
    }
    await next();
  };
}

/**
 * Requires the token, as a bearer token or as the cookie of a session that was opened with it. Without a configured
 * token every request is allowed.
 */
export function authenticated(token: string | undefined, clock: () => number): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (token === undefined) c.set("who", "anonymous");
    else if (
      carriesToken(c.req.header("authorization"), token) ||
      isSession(getCookie(c, SESSION_COOKIE), token, clock())
    ) {
      c.set("who", `token:${sha256(token).toString("hex").slice(0, 8)}`);
    } else if (!OPEN.has(c.req.path)) {
      const challenge = { "www-authenticate": "Bearer" };
      return wantsPage(c.req.raw) ? signInPage(challenge) : detail(401, "Not authenticated", challenge);
    }
    await next();
  };
}

/** Whether the client is a browser that requests a page. */
export function wantsPage(request: Request): boolean {
  return (request.method === "GET" || request.method === "HEAD") &&
    (request.headers.get("accept") ?? "").includes("text/html");
}

/** Compares in constant time. */
export function isToken(given: string, token: string): boolean {
  return timingSafeEqual(sha256(given), sha256(token));
}

/** A session's cookie: its expiry, and a proof that requires the token. */
export function sessionOf(token: string, now: number): string {
  const ends = String(Math.floor(now / 1000) + SESSION_SECONDS);
  return `${ends}.${proof(ends, token)}`;
}

function isSession(cookie: string | undefined, token: string, now: number): boolean {
  const [ends, given] = cookie?.split(".") ?? [];
  return ends !== undefined && given !== undefined && isToken(given, proof(ends, token)) &&
    Number(ends) > now / 1000;
}

function carriesToken(header: string | undefined, token: string): boolean {
  const given = /^bearer +(\S+)$/i.exec(header ?? "")?.[1];
  return given !== undefined && isToken(given, token);
}

function proof(ends: string, token: string): string {
  return createHmac("sha256", token).update(`session until ${ends}`).digest("base64url");
}

function sha256(text: string): Uint8Array & { toString(encoding?: string): string } {
  return createHash("sha256").update(text).digest();
}
