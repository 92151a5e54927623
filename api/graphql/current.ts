import type { CurrentCursor, CurrentRow } from "../../shared/store/current_rows.ts";
import { builder } from "./builder.ts";
import { connectionType, forwardArgs, pageOf } from "./connection.ts";
import { currentStateOf, placeOf, shownPlace } from "./current_state.ts";
import { pipelineOf } from "./pipeline.ts";
import { EtlRun } from "./run.ts";
import { conditionsOf } from "./where.ts";

export const CurrentRecord = builder.objectRef<CurrentRow>("CurrentRecord").implement({
  description: "A record of the current state. Personal fields read as `***`.",
  fields: (t) => ({
    key: t.exposeID("key", { description: "What identifies it; `***` where it is masked." }),
    data: t.field({ type: "JSON", description: "The record.", resolve: ({ record }) => record }),
    changedAt: t.field({
      type: "DateTime",
      description: "When it got these values.",
      resolve: (row) => row.changed_at,
    }),
    firstRun: t.field({
      type: EtlRun,
      nullable: true,
      description: "The run that added or restored it.",
      resolve: (row, _args, { loaders }) => loaders.run.load(row.first_run),
    }),
    changedRun: t.field({
      type: EtlRun,
      nullable: true,
      description: "The run that gave it these values.",
      resolve: (row, _args, { loaders }) => loaders.run.load(row.changed_run),
    }),
    seenRun: t.field({
      type: EtlRun,
      nullable: true,
      description: "The newest run that held it as a valid record.",
      resolve: (row, _args, { loaders }) => loaders.run.load(row.seen_run),
    }),
  }),
});

const CurrentConnection = connectionType("CurrentRecord", CurrentRecord);

builder.queryFields((t) => ({
  current: t.field({
    type: CurrentConnection,
    description:
      "The current state of a pipeline, by key; where a field with an index is compared, in its order.",
    args: {
      pipeline: t.arg.string({ description: "Whose records. Default: as in `records`." }),
      where: t.arg({
        type: "JSON",
        required: false,
        description:
          'Conditions by field, which all have to hold: `{ price: { gt: 30 }, maker: { city: { like: "Ro%" } } }`. There are `eq`, `lt`, ' +
          "`gt`, `in` and `like` (`%` and `_`; case is ignored). Personal fields can't be looked for; `Pipeline.currentFields` lists those that can.",
      }),
      first: t.arg(forwardArgs.first),
      after: t.arg(forwardArgs.after),
      last: t.arg.int({ description: "Rows from the end." }),
      before: t.arg.string({ description: "Only rows before this cursor." }),
    },
    resolve: async (_root, { pipeline, where, ...page }, context) => {
      const state = await currentStateOf(await pipelineOf(pipeline, undefined, context), context);
      const conditions = state === undefined ? {} : conditionsOf(where, state.fields);
      return await pageOf<CurrentRow, ReturnType<typeof shownPlace<CurrentCursor[0]>>>(page, {
        read: async ({ after, before, ...wanted }) =>
          state === undefined ? [] : await state.store.current.page(state.pipeline, conditions, {
            ...wanted,
            after: await placeOf(state, after),
            before: await placeOf(state, before),
          }),
        place: ({ cursor, record_id }) => shownPlace(state!, cursor, record_id),
      });
    },
  }),
}));
