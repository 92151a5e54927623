import type { Context } from "hono";
import type { ApiApp, Env } from "./env.ts";
import { detail } from "../json.ts";

/** Answers as FastAPI does: 307 to the route without the trailing slash, 405 with the path's methods, else 404. */
export function noSuchRoute(app: ApiApp): (c: Context<Env>) => Response {
  const routes = app.routes.filter(({ method, path }) => method !== "ALL" && !path.includes("*"))
    .map(({ method, path }) => ({ method, pattern: new RegExp(`^${path.replaceAll(/:[^/]+/g, "[^/]+")}$`) }));
  const methodsOf = (path: string) =>
    new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method));

  return (c) => {
    const { path } = c.req;
    const methods = methodsOf(path);
    if (methods.size > 0) {
      if (methods.has("GET")) methods.add("HEAD");
      return detail(405, "Method Not Allowed", { allow: [...methods].sort().join(", ") });
    }
    const bare = path.replace(/\/+$/, "");
    if (bare !== path && methodsOf(bare).size > 0) {
      const url = new URL(c.req.url);
      url.pathname = bare;
      return new Response(null, { status: 307, headers: { location: url.href } });
    }
    return detail(404, "Not Found");
  };
}
