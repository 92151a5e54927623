/**
 * `GET /`: the status for programs, a page for browsers.
 *
 * @module
 */
import { z } from "@hono/zod-openapi";
import type { ApiApp } from "../app.ts";
import { wantsPage } from "../http/guard.ts";
import { page } from "../http/pages.ts";
import { jsonAnswer } from "../json.ts";
import { addRoute, json } from "./route.ts";

/** Adds the route. */
export function addHome(app: ApiApp): void {
  addRoute(app, {
    method: "get",
    path: "/",
    summary: "Whether the API works",
    inputs: {},
    responses: { 200: json("It works", z.object({ status: z.literal("Pipeline API working") })) },
  }, (c) =>
    wantsPage(c.req.raw)
      ? page({
        title: "ETL pipeline",
        body: `<main>
<h1>ETL pipeline</h1>
<p>The API works.</p>
<ul>
<li><a href="/graphql">GraphiQL</a>: see runs, records and actors, and steer them</li>
<li><a href="/docs">REST documentation</a></li>
<li><a href="/etl_runs">Runs as JSON</a></li>
</ul>
</main>`,
        headers: { vary: "Accept" },
      })
      : jsonAnswer('{"status":"Pipeline API working"}', 200, { vary: "Accept" }));
}
