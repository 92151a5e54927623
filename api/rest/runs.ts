import { z } from "@hono/zod-openapi";
import type { ApiApp } from "../http/env.ts";
import { integer } from "../http/unprocessable.ts";
import { detail, jsonAnswer } from "../json.ts";
import { viewPipelines } from "../pipelines.ts";
import type { ApiPorts } from "../ports.ts";
import { UntilCommit } from "../until_commit.ts";
import { pageHeaders } from "./paging.ts";
import { addRoute, Detail, json, noDatabase } from "./route.ts";
import type { RunRow } from "../../shared/store/rows.ts";

const EtlRun = z.object({
  id: z.int(),
  run_timestamp: z.string(),
  processed_file: z.string(),
  valid_count: z.int(),
  invalid_count: z.int(),
}).openapi("EtlRun");

export function addRuns(app: ApiApp, { store, pipelines }: ApiPorts): void {
  const lists = new UntilCommit<{ text: string; total: number }>(8);
  addRoute(app, {
    method: "get",
    path: "/etl_runs",
    summary: "Runs that reached the load, newest first",
    inputs: {
      query: z.object({
        limit: integer({ min: 1, max: 10_000, fallback: 1000 }),
        offset: integer({ min: 0, max: Number.MAX_SAFE_INTEGER, fallback: 0 }),
        pipeline: z.string().optional(),
      }),
    },
    responses: {
      200: {
        ...json("Runs", z.array(EtlRun)),
        headers: z.object({ "X-Total-Count": z.string(), "Link": z.string().optional() }),
      },
      400: json("No such pipeline", Detail),
      503: json("Before the first run", Detail),
    },
  }, async (c, { query: { pipeline, ...page } }) => {
    const open = await store();
    const names = viewPipelines(pipelines, await open?.records.pipelines()).map(({ name }) => name);
    if (pipeline !== undefined && !names.includes(pipeline)) {
      return detail(
        400,
        `There is no pipeline ${JSON.stringify(pipeline)}. Valid names: ${names.join(", ")}.`,
      );
    }
    const which = { loaded: true, pipeline };
    if (open === undefined) return noDatabase();
    const { text, total } = await lists.get(
      open,
      `${pipeline ?? ""}/${page.limit}/${page.offset}`,
      async () => ({
        text: JSON.stringify((await open.runs.list(which, page)).map(asOriginal)),
        total: await open.runs.count(which),
      }),
    );
    return jsonAnswer(text, 200, pageHeaders(c.req.url, { ...page, total }));
  });

  addRoute(app, {
    method: "get",
    path: "/etl_runs/{id}",
    summary: "One run that reached the load",
    inputs: { params: z.object({ id: integer({}) }) },
    responses: {
      200: json("The run", EtlRun),
      404: json("No such run", Detail),
      503: json("Before the first run", Detail),
    },
  }, async (_c, { params: { id } }) => {
    const runs = (await store())?.runs;
    if (runs === undefined) return noDatabase();
    const run = Number.isSafeInteger(id) ? await runs.byId(id) : undefined;
    if (run === undefined || run.loaded_at === null) return detail(404, `Run ${id} not found.`);
    return jsonAnswer(JSON.stringify(asOriginal(run)));
  });
}

function asOriginal(run: RunRow): z.output<typeof EtlRun> {
  return {
    id: run.id,
    run_timestamp: run.run_timestamp,
    processed_file: run.processed_file!,
    valid_count: run.valid_count!,
    invalid_count: run.invalid_count!,
  };
}
