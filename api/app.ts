/** The API: maps a request to an answer, without a socket. The code follows a request's path from top to bottom. */
import { TransientError } from "../shared/errors/errors.ts";
import { OpenAPIHono } from "@hono/zod-openapi";
import { compress } from "hono/compress";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { addDashboard } from "./dashboard/dashboard.ts";
import { addGraphql } from "./graphql/route.ts";
import { boundedBody } from "./http/bounded_body.ts";
import type { ApiApp, Env } from "./http/env.ts";
import { allowedHosts, authenticated } from "./http/guard.ts";
import { noSuchRoute } from "./http/routes.ts";
import { secured } from "./http/secured.ts";
import { Unprocessable } from "./http/unprocessable.ts";
import { detail } from "./json.ts";
import { Metrics } from "./observe/metrics.ts";
import { observed } from "./observe/observed.ts";
import type { ApiPorts, RequestInfo } from "./ports.ts";
import { addData } from "./rest/data.ts";
import { addDocs } from "./rest/docs.ts";
import { addHealth } from "./rest/health.ts";
import { addHome } from "./rest/home.ts";
import { addQuerySql } from "./rest/query_sql.ts";
import { addRuns } from "./rest/runs.ts";
import { addSession } from "./rest/session.ts";

export interface App {
  /** Answers a request; never throws. */
  fetch(request: Request, info?: RequestInfo): Promise<Response>;
  /** Ends endless answers (subscriptions, waiting for runs), so that the server can close. */
  close(): void;
}

const MAX_BODY_BYTES = 1_000_000;

export function createApp(ports: ApiPorts): App {
  const { config, log } = ports;
  const metrics = new Metrics(ports);
  const app: ApiApp = new OpenAPIHono<Env>();

  app.use(observed(metrics, log));
  app.use(secured());
  app.use(allowedHosts(config.ALLOWED_HOSTS));
  app.use(cors({
    origin: config.CORS_ORIGINS,
    allowMethods: ["GET", "HEAD", "POST"],
    allowHeaders: ["Authorization", "Content-Type", "Accept", "traceparent"],
    exposeHeaders: ["X-Total-Count", "Link", "Retry-After"],
    maxAge: 600,
  }));
  app.use(authenticated(config.API_TOKEN, ports.clock ?? Date.now));
  app.use(boundedBody(MAX_BODY_BYTES));
  app.use(compress());

  addHome(app);
  addDashboard(app);
  addRuns(app, ports);
  addData(app, ports);
  addQuerySql(app, ports);
  addDocs(app);
  addHealth(app, ports, metrics);
  addSession(app, ports);
  const close = addGraphql(app, ports, metrics);

  app.notFound(noSuchRoute(app));
  app.onError((error, c) => {
    if (error instanceof Unprocessable) return error.answer();
    if (error instanceof HTTPException) return detail(error.status, error.message);
    if (error instanceof TransientError) {
      log.warning("request failed temporarily", { method: c.req.method, path: c.req.path, error });
      return detail(503, "The database can't be used at the moment. Try again in a few seconds.", {
        "retry-after": "5",
      });
    }
    log.error("request failed", { method: c.req.method, path: c.req.path, error });
    return detail(500, "Internal Server Error");
  });

  return {
    fetch: async (request, info = {}) => await app.fetch(request, info),
    close,
  };
}
