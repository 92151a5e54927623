/** A REST route: one description serves the OpenAPI document and the validation. */
import { createRoute, type RouteConfig, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { ApiApp, Env } from "../http/env.ts";
import { fit, jsonBody } from "../http/unprocessable.ts";
import { detail } from "../json.ts";

interface Inputs {
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
}

type Read<I extends Inputs> = {
  [K in keyof I]: I[K] extends z.ZodType ? z.output<I[K]> : never;
};

export const Detail = z.object({ detail: z.string() }).openapi("Error");

const ValidationError = z.object({
  detail: z.array(z.object({
    type: z.string(),
    loc: z.array(z.union([z.string(), z.int()])),
    msg: z.string(),
    input: z.unknown(),
  })),
}).openapi("HTTPValidationError");

export function json(description: string, schema: z.ZodType): RouteConfig["responses"][string] {
  return { description, content: { "application/json": { schema } } };
}

export function addRoute<const I extends Inputs>(
  app: ApiApp,
  about: Pick<RouteConfig, "method" | "path" | "summary" | "description" | "responses"> & { inputs: I },
  handler: (c: Context<Env>, read: Read<I>) => Response | Promise<Response>,
): void {
  const { inputs, ...rest } = about;
  const { params, query, body }: Inputs = inputs;
  const route = createRoute({
    ...rest,
    request: {
      params,
      query,
      body: body && { required: true, content: { "application/json": { schema: body } } },
    },
    responses: {
      ...rest.responses,
      ...(Object.keys(inputs).length === 0 ? {} : { 422: json("Input that doesn't fit", ValidationError) }),
    },
  });
  app.openAPIRegistry.registerPath(route);
  app.on(route.method, route.getRoutingPath(), async (c) => {
    const read = {
      params: params && fit(params, "path", c.req.param()),
      query: query && fit(query, "query", Object.fromEntries(new URL(c.req.url).searchParams)),
      body: body && fit(body, "body", await jsonBody(c.req.raw)),
    };
    return await handler(c, read as Read<I>);
  });
}

/** The answer while there is no database. */
export function noDatabase(): Response {
  return detail(503, "The database hasn't been created yet. Run the pipeline first.", { "retry-after": "5" });
}
