import type { CurrentRow, Key } from "../../shared/store/current_rows.ts";
import type { RecordRow, RunRow } from "../../shared/store/rows.ts";
import { identityOf } from "../../shared/pipeline/identity.ts";
import { type PageOfLine, pageOfLine } from "../../shared/store/timeline.ts";
import { builder } from "./builder.ts";
import type { Context } from "./context.ts";
import { ChangeConnection, changesOf } from "./change.ts";
import { pageArgs } from "./connection.ts";
import { CurrentRecord } from "./current.ts";
import { type CurrentState, currentStateOf, refuseMaskedKey } from "./current_state.ts";
import { pipelineOf } from "./pipeline.ts";
import { InvalidRecord, ofKind, RecordType } from "./record.ts";
import { EtlRun } from "./run.ts";

const MOST_INVALID = 20;

interface History {
  readonly key: Key;
  readonly state: CurrentState;
  readonly current: CurrentRow | undefined;
}

interface Origin {
  readonly pipeline: string;
  readonly run: RunRow;
  readonly raw: RecordRow | undefined;
}

const OriginType = builder.objectRef<Origin>("RecordOrigin").implement({
  description: "Where a record's values came from.",
  fields: (t) => ({
    run: t.expose("run", {
      type: EtlRun,
      description: "The run that gave it its values; its files and their delivery stand there.",
    }),
    raw: t.field({
      type: RecordType,
      nullable: true,
      description: "The raw record that it was made of; null if it is no longer kept.",
      resolve: ({ raw }) => raw && ofKind("raw", raw),
    }),
    page: t.int({
      nullable: true,
      description: "Which page of the source it came with, from 1; null if unknown.",
      resolve: async (origin, _args, context) => (await pageOf(origin, context))?.page,
    }),
    request: t.string({
      nullable: true,
      description: "The request for that page, such as `skip=200`; null if unknown.",
      resolve: async (origin, _args, context) => (await pageOf(origin, context))?.request,
    }),
    rulesSha256: t.string({
      nullable: true,
      description: "Identifies the rules that it was judged by; null if unknown.",
      resolve: ({ run }) => run.rules_sha256,
    }),
    areRulesCurrent: t.boolean({
      nullable: true,
      description: "Whether those are the definition's rules today; null if unknown.",
      resolve: ({ run, pipeline }, _args, { ports }) => {
        const plan = ports.pipelines.plans.get(pipeline);
        return plan === undefined || run.rules_sha256 === null ? null : run.rules_sha256 === identityOf(plan);
      },
    }),
    lookupSha256: t.string({
      nullable: true,
      description: "SHA-256 of the lookup that its added fields are from; null if unknown.",
      resolve: ({ run }) => run.lookup_sha256,
    }),
  }),
});

async function pageOf({ raw, run }: Origin, { loaders }: Context): Promise<PageOfLine | undefined> {
  return raw && pageOfLine(await loaders.events.load(run.run_id), raw.line);
}

const HistoryType = builder.objectRef<History>("RecordHistory").implement({
  description:
    "One record: what it is now, where that came from, what runs did to it, and when it was invalid.",
  fields: (t) => ({
    key: t.exposeID("key"),
    pipeline: t.string({ resolve: ({ state }) => state.pipeline }),
    current: t.expose("current", {
      type: CurrentRecord,
      nullable: true,
      description: "Null if the current state doesn't contain it.",
    }),
    origin: t.field({
      type: OriginType,
      nullable: true,
      description: "Null if the current state doesn't contain it.",
      resolve: async ({ state: { store, pipeline }, key, current }, _args, { loaders }) => {
        const run = current && await loaders.run.load(current.changed_run);
        if (run === undefined) return null;
        const id = await store.current.rawOf(pipeline, run.run_id, key);
        return { pipeline, run, raw: id === undefined ? undefined : await loaders.rawRecord.load(id) };
      },
    }),
    changes: t.field({
      type: ChangeConnection,
      description: "What runs did to it, in the order in which they were loaded.",
      args: pageArgs,
      resolve: ({ state, key }, page) => changesOf(state, { key }, page),
    }),
    invalid: t.field({
      type: [InvalidRecord],
      description: `The last ${MOST_INVALID} invalid records with this key, newest first, each text once.`,
      resolve: async ({ state: { store, pipeline }, key }, _args, { loaders }) => {
        const found = await store.current.invalidOf(pipeline, key, MOST_INVALID);
        const records = await loaders.invalidRecord.loadMany(found.map(({ record_id }) => record_id));
        return records.flatMap((record) => record instanceof Error || record === undefined ? [] : [record]);
      },
    }),
  }),
});

builder.queryFields((t) => ({
  record: t.field({
    type: HistoryType,
    nullable: true,
    description: "One record with its history, by its key; null if no run held one with this key.",
    args: {
      key: t.arg.id({ required: true }),
      pipeline: t.arg.string({ description: "Whose record. Default: as in `records`." }),
    },
    resolve: async (_root, { key, pipeline }, context) => {
      const state = await currentStateOf(await pipelineOf(pipeline, undefined, context), context);
      if (state === undefined) return null;
      refuseMaskedKey(state);
      const { store, pipeline: name } = state;
      const [current] = await store.current.byKeys(name, [key]);
      const isKnown = current !== undefined ||
        (await store.current.changes(name, { key }, { limit: 1 })).length > 0 ||
        (await store.current.invalidOf(name, key, 1)).length > 0;
      return isKnown ? { key: current?.key ?? key, state, current } : null;
    },
  }),
}));
