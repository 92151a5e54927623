import { z } from "@hono/zod-openapi";
import type { ApiApp } from "../http/env.ts";
import { dashboardPage } from "../dashboard/dashboard.ts";
import { wantsPage } from "../http/guard.ts";
import { jsonAnswer } from "../json.ts";
import { addRoute, json } from "./route.ts";

export function addHome(app: ApiApp): void {
  addRoute(
    app,
    {
      method: "get",
      path: "/",
      summary: "Whether the API works",
      inputs: {},
      responses: { 200: json("It works", z.object({ status: z.literal("Pipeline API working") })) },
    },
    (c) =>
      wantsPage(c.req.raw)
        ? dashboardPage(c)
        : jsonAnswer('{"status":"Pipeline API working"}', 200, { vary: "Accept" }),
  );
}
