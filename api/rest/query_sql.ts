import { z } from "@hono/zod-openapi";
import type { ApiApp } from "../http/env.ts";
import { detail, jsonAnswer } from "../json.ts";
import type { ApiPorts } from "../ports.ts";
import { recordTables } from "../pipelines.ts";
import { SqlBusy, SqlRefused, SqlUnavailable } from "../sql/errors.ts";
import { MAX_SQL_LENGTH, startsAsSelect } from "../sql/statement.ts";
import { addRoute, Detail, json, noDatabase } from "./route.ts";

const Query = z.object({
  query: z.string().max(MAX_SQL_LENGTH).openapi({
    example: "SELECT department_code, count(*) AS people FROM processed_users GROUP BY 1 ORDER BY 2 DESC",
  }),
}).openapi("SQLQuery");

const Answer = z.object({
  columns: z.array(z.string()),
  rows: z.array(z.record(z.string(), z.union([z.string(), z.number(), z.null()]))),
  truncated: z.literal(true).optional(),
}).openapi("SQLAnswer");

export function addQuerySql(app: ApiApp, { store, sql, config, pipelines }: ApiPorts): void {
  addRoute(app, {
    method: "post",
    path: "/query_sql",
    summary: `One SELECT over etl_runs, ${recordTables(pipelines, undefined).join(", ")}`,
    description:
      `Read-only and bounded: ${config.SQL_TIMEOUT_MS} ms, ${config.SQL_MAX_ROWS} rows, ${config.SQL_MAX_BYTES} bytes; ` +
      "`truncated` is true where rows or bytes were cut.",
    inputs: { body: Query },
    responses: {
      200: json("The rows", Answer),
      400: json("No SELECT, forbidden, wrong, or past a bound", Detail),
      503: json("Busy (see Retry-After), before the first run, or without a console", Detail),
    },
  }, async (c, { body: { query } }) => {
    // "querys" is the original's text, kept for compatibility: its front end compares it
    if (!startsAsSelect(query)) return detail(400, "Only SELECT querys are allowed.");
    if (await store() === undefined) return noDatabase();
    try {
      const { columns, rows, truncated } = await sql.query(query, c.req.raw.signal);
      return jsonAnswer([
        `{"columns":${JSON.stringify(columns)},"rows":`,
        rows,
        truncated ? ',"truncated":true}' : "}",
      ]);
    } catch (error) {
      if (error instanceof SqlRefused) return detail(400, `SQL error: ${error.message}`);
      if (error instanceof SqlBusy) {
        return detail(503, error.message, { "retry-after": String(error.retryAfterSeconds) });
      }
      if (error instanceof SqlUnavailable) return detail(503, error.message);
      throw error;
    }
  });
}
