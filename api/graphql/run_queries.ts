import * as z from "zod";
import { RunId } from "../../shared/contracts/messages.ts";
import { badInput, bounded, builder } from "./builder.ts";
import type { Context } from "./context.ts";
import { connectionType, pageArgs, pageOf } from "./connection.ts";
import { knownPipeline } from "./pipeline.ts";
import { DeliveredFile, EtlRun, RunStatusEnum } from "./run.ts";
import type { RunCursor, RunFilter, RunRow } from "../../shared/store/rows.ts";

const EtlRunConnection = connectionType("EtlRun", EtlRun, { counted: true });

const EtlRunFilter = builder.inputType("EtlRunFilter", {
  description: "Selects runs; all given conditions must hold.",
  fields: (t) => ({
    status: t.field({ type: [RunStatusEnum], description: "Runs with one of these statuses." }),
    since: t.field({ type: "DateTime", description: "Requested at or after this." }),
    until: t.field({ type: "DateTime", description: "Requested before this." }),
    loaded: t.boolean({ description: "Only those that reached the load." }),
    pipeline: t.string({ description: "Only those of this pipeline." }),
  }),
});

/** @throws a GraphQLError for an unknown pipeline. */
async function filterOf(
  { status, since, until, loaded, pipeline }: typeof EtlRunFilter.$inferInput,
  context: Context,
): Promise<RunFilter> {
  return {
    status: status ?? undefined,
    since: since ?? undefined,
    until: until ?? undefined,
    loaded: loaded ?? undefined,
    pipeline: pipeline == null ? undefined : await knownPipeline(pipeline, context),
  };
}

builder.queryFields((t) => ({
  etlRuns: t.field({
    type: [EtlRun],
    description: "Runs, newest first.",
    args: {
      limit: t.arg.int({ defaultValue: 100, required: false, description: "At most 1000." }),
      offset: t.arg.int({ defaultValue: 0, required: false }),
      status: t.arg({ type: [RunStatusEnum], required: false }),
      since: t.arg({ type: "DateTime", required: false }),
      until: t.arg({ type: "DateTime", required: false }),
      pipeline: t.arg.string({ required: false, description: "Only those of this pipeline." }),
    },
    resolve: async (_root, { limit, offset, ...filter }, context) => {
      const { store, lists } = context;
      const page = {
        limit: bounded("limit", limit ?? 100, 0, 1000),
        offset: bounded("offset", offset ?? 0, 0, 2 ** 31 - 1),
      };
      const which = await filterOf(filter, context);
      if (store === undefined) return [];
      return lists.get(store, JSON.stringify([page, which]), () => store.runs.list(which, page));
    },
  }),
  etlRunsConnection: t.field({
    type: EtlRunConnection,
    description: "Runs, newest first, page by page.",
    args: {
      ...pageArgs,
      filter: t.arg({ type: EtlRunFilter }),
    },
    resolve: async (_root, { filter, ...page }, context) => {
      const { store } = context;
      const which = await filterOf(filter ?? {}, context);
      return pageOf<RunRow, RunCursor>(page, {
        read: async (wanted) => await store?.runs.page(which, wanted) ?? [],
        place: ({ run_timestamp, id }) => ({ run_timestamp, id }),
        cursor: z.strictObject({ run_timestamp: z.string(), id: z.int() }),
        count: async () => await store?.runs.count(which) ?? 0,
      });
    },
  }),
  etlRun: t.field({
    type: EtlRun,
    nullable: true,
    description: "One run, by its number or its `runId`.",
    args: { id: t.arg.id({ required: false }), runId: t.arg.id({ required: false }) },
    resolve: async (_root, { id, runId }, { store, loaders }) => {
      if ((id == null) === (runId == null)) throw badInput("Cannot find a run: wanted either id or runId.");
      if (runId != null) return RunId.safeParse(runId).success ? loaders.run.load(runId) : null;
      return /^\d{1,15}$/.test(id!) ? await store?.runs.byId(Number(id)) : null;
    },
  }),
  deliveries: t.field({
    type: [DeliveredFile],
    description: "Where files with this content were delivered, newest first.",
    args: { sha256: t.arg.string({ required: true }) },
    resolve: async (_root, { sha256 }, { store }) =>
      await store?.runs.deliveriesOfContent(sha256.toLowerCase()) ?? [],
  }),
}));
