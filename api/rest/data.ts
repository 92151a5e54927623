import { Buffer } from "node:buffer";
import { z } from "@hono/zod-openapi";
import type { ApiApp } from "../http/env.ts";
import { integer } from "../http/unprocessable.ts";
import { detail, jsonAnswer, toJson } from "../json.ts";
import type { ApiPorts } from "../ports.ts";
import { currentTables, recordTables } from "../pipelines.ts";
import { UntilCommit } from "../until_commit.ts";
import { pageHeaders } from "./paging.ts";
import { addRoute, Detail, json, noDatabase } from "./route.ts";
import type { Cell, Table } from "../../shared/store/rows.ts";

/** Pages with more rows aren't cached. */
const MOST_KEPT = 200;

const OURS = new Set(["run_id", "line", "record_id", "insertion_date"]);

export function addData(app: ApiApp, { store, pipelines }: ApiPorts): void {
  const pages = new UntilCommit<{ text: Uint8Array<ArrayBuffer>; total: number }>(16);
  addRoute(app, {
    method: "get",
    path: "/data/{table}",
    summary: "Records of a table, in the order in which they were loaded; the current state by key",
    description: `Tables: ${
      [...recordTables(pipelines, undefined), ...currentTables(pipelines, undefined)].join(", ")
    }. Personal fields read as \`***\`, nested values are JSON text.`,
    inputs: {
      params: z.object({ table: z.string().openapi({ example: "processed_users" }) }),
      query: z.object({
        limit: integer({ min: 1, max: 1000, fallback: 100 }),
        offset: integer({ min: 0, max: Number.MAX_SAFE_INTEGER, fallback: 0 }),
      }),
    },
    responses: {
      200: json("Records", z.array(z.record(z.string(), z.union([z.string(), z.number(), z.null()])))),
      400: json("No such table", Detail),
      503: json("Before the first run", Detail),
    },
  }, async (c, { params, query: page }) => {
    const open = await store();
    const kept = await open?.records.pipelines();
    const records = recordTables(pipelines, kept);
    const tables: string[] = [...records, ...currentTables(pipelines, kept)];
    const { table } = params;
    if (!tables.includes(table)) {
      // the original's text, kept for compatibility
      return detail(400, `TableName not Allowed. Valid names: ${tables.join(", ")}.`);
    }
    if (open === undefined) return noDatabase();
    const ofRecords = records.find((name) => name === table);
    const isThere = ofRecords === undefined
      ? await open.current.table(table)
      : await open.records.has(ofRecords);
    if (!isThere) return noDatabase();
    const read = async () =>
      ofRecords === undefined
        ? {
          text: Buffer.from(toJson(asObjects(await open.current.tableRows(table, page)))),
          total: await open.current.count(table),
        }
        : {
          text: Buffer.from(toJson(recordsOf(await open.records.rows(ofRecords, page)))),
          total: await open.records.count(ofRecords),
        };
    // larger pages would take too much memory
    const { text, total } = page.limit > MOST_KEPT
      ? await read()
      : await pages.get(open, `${table}/${page.limit}/${page.offset}`, read);
    return jsonAnswer(text, 200, pageHeaders(c.req.url, { ...page, total }));
  });
}

function asObjects({ columns, rows }: Table): Record<string, Cell>[] {
  return rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]!])));
}

/** Rows of a view as the original showed them: the user's own keys, then `insertion_date`. */
function recordsOf({ columns, rows }: Table): Record<string, Cell>[] {
  const order = [
    ...columns.flatMap((name, at) => OURS.has(name) ? [] : [[name, at] as const]),
    ["insertion_date", columns.indexOf("insertion_date")] as const,
  ];
  return rows.map((row) => Object.fromEntries(order.map(([name, at]) => [name, row[at]!])));
}
