import type { ChangeCursor, ChangeFilter, ChangeRow, MoveRow } from "../../shared/store/current_rows.ts";
import { MASKED } from "../../shared/store/mask.ts";
import { builder } from "./builder.ts";
import { connectionType, type PageArgs, pageArgs, pageOf } from "./connection.ts";
import type { Context } from "./context.ts";
import {
  ChangePlace,
  type CurrentState,
  currentStateOf,
  placeOf,
  refuseMaskedKey,
  shownPlace,
} from "./current_state.ts";
import { pipelineOf } from "./pipeline.ts";
import { EtlRun, runById } from "./run.ts";

const ChangeKind = builder.enumType("ChangeKind", {
  description: "What a run did to a record of the current state.",
  values: {
    ADDED: { value: "added", description: "Its key wasn't known." },
    CHANGED: { value: "changed", description: "Some of its fields have other values." },
    REMOVED: { value: "removed", description: "A complete run no longer holds it." },
    RESTORED: { value: "restored", description: "It had been removed." },
  } as const,
});

const Counts = builder.objectRef<MoveRow>("ChangeCounts").implement({
  description: "How many records a run added to the current state, changed in it and removed from it.",
  fields: (t) => ({
    added: t.exposeInt("added"),
    changed: t.exposeInt("changed"),
    removed: t.exposeInt("removed"),
    restored: t.exposeInt("restored"),
  }),
});

builder.objectField(EtlRun, "changes", (t) =>
  t.field({
    type: Counts,
    nullable: true,
    description: "What it did to the current state; null until it is loaded, and where there is none.",
    resolve: (run, _args, { loaders }) => loaders.move.load(run.run_id),
  }));

interface Difference {
  readonly field: string;
  readonly before: unknown;
  readonly after: unknown;
}

const DifferenceType = builder.objectRef<Difference>("FieldChange").implement({
  description: "A field before and after a change. Personal ones read as `***`.",
  fields: (t) => ({
    field: t.exposeString("field", { description: "Its name, with dots for a nested one." }),
    before: t.expose("before", { type: "JSON", nullable: true }),
    after: t.expose("after", { type: "JSON", nullable: true }),
  }),
});

const Change = builder.objectRef<ChangeRow>("RecordChange").implement({
  description: "What a run did to a record of the current state.",
  fields: (t) => ({
    key: t.exposeID("key", { description: "What identifies the record; `***` where it is masked." }),
    change: t.expose("change", { type: ChangeKind }),
    at: t.expose("at", { type: "DateTime" }),
    runId: t.exposeID("run_id"),
    run: t.field(runById(({ run_id }) => run_id)),
    fields: t.exposeStringList("fields", { description: "Of one that changed: the fields that differ." }),
    differences: t.field({
      type: [DifferenceType],
      nullable: true,
      description:
        "The fields that differ, before and after; of one that was added or removed all its fields. Null where records are no longer kept.",
      resolve: async (row, _args, context) => {
        const { before, after, missing } = await sidesOf(row, context);
        return missing === null ? differencesOf(row, before, after) : null;
      },
    }),
    before: t.field({
      type: "JSON",
      nullable: true,
      description: "The record before; null where there was none, or it is no longer kept.",
      resolve: async (row, _args, context) => (await sidesOf(row, context)).before,
    }),
    after: t.field({
      type: "JSON",
      nullable: true,
      description: "The record after; null where there is none, or it is no longer kept.",
      resolve: async (row, _args, context) => (await sidesOf(row, context)).after,
    }),
    missing: t.string({
      nullable: true,
      description: "Why `before` or `after` can't be shown.",
      resolve: async (row, _args, context) => (await sidesOf(row, context)).missing,
    }),
  }),
});

/** A change's records, if they are still kept. */
async function sidesOf({ before, after }: ChangeRow, { loaders }: Context) {
  const load = async (id: number | null) => id === null ? null : await loaders.processedRecord.load(id);
  const [earlier, later] = await Promise.all([load(before), load(after)]);
  const gone = [...earlier === undefined ? ["before"] : [], ...later === undefined ? ["after"] : []];
  return {
    before: earlier?.record ?? null,
    after: later?.record ?? null,
    missing: gone.length === 0
      ? null
      : `The record ${
        gone.join(" and ")
      } the change is no longer kept: its run is older than KEEP_RUNS_DAYS.`,
  };
}

function differencesOf({ change, fields }: ChangeRow, before: unknown, after: unknown): Difference[] {
  const names = change === "changed" ? fields : Object.keys((after ?? before ?? {}) as object);
  return names.map((field) => ({ field, before: valueAt(before, field), after: valueAt(after, field) }));
}

/** The value at a path with dots; keys may contain dots themselves. */
function valueAt(record: unknown, path: string): unknown {
  if (typeof record !== "object" || record === null) return record === MASKED ? MASKED : null;
  if (Object.hasOwn(record, path)) return record[path as keyof typeof record];
  const key = Object.keys(record).find((key) => path.startsWith(`${key}.`));
  return key === undefined ? null : valueAt(record[key as keyof typeof record], path.slice(key.length + 1));
}

export const ChangeConnection = connectionType("RecordChange", Change);

/** Changes in the order in which their runs were loaded; within a run by key. */
export function changesOf(state: CurrentState | undefined, of: ChangeFilter, page: PageArgs) {
  if (state !== undefined && of.key !== undefined) refuseMaskedKey(state);
  return pageOf<ChangeRow, ReturnType<typeof shownPlace<number>>>(page, {
    read: async ({ after, before, ...wanted }) =>
      state === undefined ? [] : await state.store.current.changes(state.pipeline, of, {
        ...wanted,
        after: await placeOf(state, after) as ChangeCursor | undefined,
        before: await placeOf(state, before) as ChangeCursor | undefined,
      }),
    place: ({ cursor, before, after }) => shownPlace(state!, cursor, (after ?? before)!),
    cursor: ChangePlace,
  });
}

builder.queryFields((t) => ({
  changes: t.field({
    type: ChangeConnection,
    description:
      "What runs did to the current state of a pipeline, in the order in which they were loaded; of one run by key.",
    args: {
      runId: t.arg.id({ required: false, description: "Only what this run did." }),
      key: t.arg.id({ required: false, description: "Only what was done to the record with this key." }),
      pipeline: t.arg.string({ description: "Default: that of `runId`, else as in `records`." }),
      change: t.arg({ type: ChangeKind, required: false, description: "Only changes of this kind." }),
      ...pageArgs,
    },
    resolve: async (_root, { runId, key, change, pipeline, ...page }, context) => {
      const state = await currentStateOf(await pipelineOf(pipeline, runId, context), context);
      const of = { runId: runId ?? undefined, key: key ?? undefined, change: change ?? undefined };
      return changesOf(state, of, page);
    },
  }),
}));
