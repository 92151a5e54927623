import type { CurrentCursor, CurrentRow } from "../../shared/store/current_rows.ts";
import { builder } from "./builder.ts";
import { connectionType, pageArgs, pageOf } from "./connection.ts";
import { CurrentPlace, currentStateOf, placeOf, shownPlace } from "./current_state.ts";
import { pipelineOf } from "./pipeline.ts";
import { runById } from "./run.ts";
import { conditionsOf } from "./where.ts";

export const CurrentRecord = builder.objectRef<CurrentRow>("CurrentRecord").implement({
  description: "A record of the current state. Personal fields read as `***`.",
  fields: (t) => ({
    key: t.exposeID("key", { description: "What identifies it; `***` where it is masked." }),
    data: t.expose("record", { type: "JSON", description: "The record." }),
    changedAt: t.expose("changed_at", { type: "DateTime", description: "When it got these values." }),
    firstRun: t.field(runById(({ first_run }) => first_run, "The run that added or restored it.")),
    changedRun: t.field(runById(({ changed_run }) => changed_run, "The run that gave it these values.")),
    seenRun: t.field(runById(({ seen_run }) => seen_run, "The newest run that held it as a valid record.")),
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
          "`gt`, `in` and, of texts and whole numbers, `like` (`%` and `_`; case is ignored). Personal fields can't be searched; `Pipeline.currentFields` lists those that can.",
      }),
      ...pageArgs,
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
        cursor: CurrentPlace,
      });
    },
  }),
}));
