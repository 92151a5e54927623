/**
 * A REST route: described once, for the OpenAPI document and for the check of what comes in.
 *
 * @module
 */
import { createRoute, type RouteConfig, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { ApiApp, Env } from "../http/env.ts";
import { fit, jsonBody } from "../http/unprocessable.ts";

/** The parts of a request that a route reads. */
export interface Inputs {
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
}

/** The inputs of `I` as they are after the check. */
export type Read<I extends Inputs> = {
  [K in keyof I]: I[K] extends z.ZodType ? z.output<I[K]> : never;
};

/** FastAPI's shape of an error. */
export const Detail = z.object({ detail: z.string() }).openapi("Error");

/** FastAPI's shape of input that doesn't fit. */
export const ValidationError = z.object({
  detail: z.array(z.object({
    type: z.string(),
    loc: z.array(z.union([z.string(), z.int()])),
    msg: z.string(),
    input: z.unknown(),
  })),
}).openapi("HTTPValidationError");

/** A described answer of JSON. */
export function json(description: string, schema: z.ZodType): RouteConfig["responses"][string] {
  return { description, content: { "application/json": { schema } } };
}

/** Adds a route that is described by `about`, and whose handler gets the inputs as they are after the check. */
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
      ...(params === undefined ? {} : { params }),
      ...(query === undefined ? {} : { query }),
      ...(body === undefined
        ? {}
        : { body: { required: true, content: { "application/json": { schema: body } } } }),
    },
    responses: {
      ...rest.responses,
      ...(Object.keys(inputs).length === 0 ? {} : { 422: json("Input that doesn't fit", ValidationError) }),
    },
  });
  app.openAPIRegistry.registerPath(route);
  app.on(route.method, route.getRoutingPath(), async (c) => {
    const read = {
      ...(params === undefined ? {} : { params: fit(params, "path", c.req.param()) }),
      ...(query === undefined
        ? {}
        : { query: fit(query, "query", Object.fromEntries(new URL(c.req.url).searchParams)) }),
      ...(body === undefined ? {} : { body: fit(body, "body", await jsonBody(c.req.raw)) }),
    };
    return await handler(c, read as Read<I>);
  });
}
