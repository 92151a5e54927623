import type { Rule } from "../../shared/pipeline/complaints.ts";
import type { Searchable } from "../../shared/store/current_rows.ts";
import {
  absence,
  defaultPipeline,
  nextRunOf,
  type PipelineView,
  scheduleOf,
  sourceOf,
  tablesOf,
  viewPipelines,
} from "../pipelines.ts";
import { isNewer } from "../../shared/pipeline/load.ts";
import { badInput, builder } from "./builder.ts";
import type { Context } from "./context.ts";
import { EtlRun } from "./run.ts";

const RuleType = builder.objectRef<Rule>("PipelineRule").implement({
  description: "A rule of a pipeline, for forms.",
  fields: (t) => ({
    field: t.exposeString("field", { description: "The field, with dots for nested ones." }),
    kind: t.exposeString("kind", { description: "`integer`, `number`, `string`, `email` or `value`." }),
    wanted: t.exposeString("wanted", { description: "The expected value, in words." }),
    minimum: t.exposeFloat("minimum", { nullable: true }),
    maximum: t.exposeFloat("maximum", { nullable: true }),
    pattern: t.exposeString("pattern", {
      nullable: true,
      description: "A regular expression that has to match somewhere in the text.",
    }),
  }),
});

const CurrentField = builder.objectRef<Searchable>("CurrentField").implement({
  description: "A field of the current state that can be searched.",
  fields: (t) => ({
    field: t.exposeString("field", { description: "Its name, with dots for a nested one." }),
    type: t.string({
      description: "`TEXT`, `INTEGER`, `REAL`, or `KEY`, which is a text or a number.",
      resolve: ({ type }) => type ?? "KEY",
    }),
    isIndexed: t.exposeBoolean("isIndexed", { description: "Whether it has an index." }),
  }),
});

const PipelineType = builder.objectRef<PipelineView>("Pipeline").implement({
  description: "A feed: where records come from, what makes them valid, and where they go.",
  fields: (t) => ({
    name: t.exposeString("name"),
    problems: t.exposeStringList("problems", {
      description: "Why the pipeline is out of service; empty where it works.",
    }),
    source: t.string({
      nullable: true,
      description: "The source's address.",
      resolve: async ({ name, plan }, _args, { store }) =>
        (await lastRunOf(name, store))?.source ?? (plan === undefined ? null : sourceOf(plan)),
    }),
    schedule: t.string({
      nullable: true,
      description: "A cron pattern, or `off`.",
      resolve: ({ plan }, _args, { ports }) => plan === undefined ? null : scheduleOf(plan, ports.readEnv),
    }),
    nextRun: t.field({
      type: "DateTime",
      nullable: true,
      description: "The next scheduled run; null if none is planned.",
      resolve: ({ plan }, _args, { ports }) => plan === undefined ? null : nextRunOf(plan, ports.readEnv),
    }),
    key: t.string({
      nullable: true,
      description: "The field that identifies a record.",
      resolve: ({ plan }) => plan?.definition.key ?? null,
    }),
    load: t.string({
      nullable: true,
      description: "`append`, `upsert` or `snapshot`.",
      resolve: ({ plan }) => plan === undefined ? null : plan.definition.load ?? "append",
    }),
    rules: t.field({
      type: "JSON",
      nullable: true,
      description: "The rules of a valid record, as JSON Schema.",
      resolve: ({ plan }) => plan?.form ?? null,
    }),
    fields: t.field({
      type: [RuleType],
      description: "The fields that have a rule, in the order in which they are checked.",
      resolve: ({ plan }) => plan?.rules ?? [],
    }),
    masked: t.stringList({
      description: "Fields that read as `***`.",
      resolve: async ({ name, plan }, _args, { store }) =>
        (await store?.records.pipelines())?.get(name)?.masked ?? plan?.definition.mask ?? [],
    }),
    added: t.stringList({
      description: "Members that are added to valid records.",
      resolve: ({ plan }) => Object.keys(plan?.definition.add ?? {}),
    }),
    tables: t.stringList({
      description: "Its tables in the SQL console and under `/data`.",
      resolve: async (view, _args, { store }) => tablesOf(view, await store?.records.pipelines()),
    }),
    currentRecords: t.int({
      nullable: true,
      description: "How many records its current state holds; null where it has none.",
      resolve: async ({ name }, _args, { store }) =>
        await store?.current.table(name) === undefined ? null : await store!.current.count(name),
    }),
    currentFields: t.field({
      type: [CurrentField],
      description: "The fields of its current state that can be searched.",
      resolve: async ({ name }, _args, { store }) =>
        await store?.current.table(name) === undefined ? [] : await store!.current.fields(name),
    }),
    lastRun: t.field({
      type: EtlRun,
      nullable: true,
      description: "The newest run.",
      resolve: async ({ name }, _args, { store }) => await lastRunOf(name, store) ?? null,
    }),
    runs: t.int({
      description: "How many runs there are.",
      resolve: async ({ name }, _args, { store }) => await store?.runs.count({ pipeline: name }) ?? 0,
    }),
  }),
});

async function allPipelines({ ports, store }: Pick<Context, "ports" | "store">): Promise<PipelineView[]> {
  return viewPipelines(ports.pipelines, await store?.records.pipelines());
}

async function lastRunOf(pipeline: string, store: Context["store"]) {
  return (await store?.runs.list({ pipeline }, { limit: 1, offset: 0 }))?.[0];
}

/** @throws a GraphQLError that names the existing pipelines. */
export async function knownPipeline(
  name: string,
  context: Pick<Context, "ports" | "store">,
): Promise<string> {
  const names = (await allPipelines(context)).map((pipeline) => pipeline.name);
  if (names.includes(name)) return name;
  const { pipelines } = context.ports;
  throw badInput(
    isNewer(pipelines, name)
      ? `Cannot use the pipeline "${name}": ${absence(pipelines, name)}.`
      : `There is no pipeline ${JSON.stringify(name)}, wanted one of ${names.join(", ")}.`,
  );
}

/** The pipeline `name`; by default that of the run, or the default one. @throws as `knownPipeline`. */
export async function pipelineOf(
  name: string | null | undefined,
  runId: string | null | undefined,
  context: Context,
): Promise<string> {
  if (name != null) return knownPipeline(name, context);
  const run = runId == null ? undefined : await context.store?.runs.byRunId(runId);
  return run?.pipeline ?? defaultPipeline(context.ports.pipelines);
}

builder.queryFields((t) => ({
  pipelines: t.field({
    type: [PipelineType],
    description: "All pipelines, by name.",
    resolve: (_root, _args, context) => allPipelines(context),
  }),
  pipeline: t.field({
    type: PipelineType,
    nullable: true,
    description: "One pipeline.",
    args: { name: t.arg.string({ required: true }) },
    resolve: async (_root, { name }, context) =>
      (await allPipelines(context)).find((pipeline) => pipeline.name === name),
  }),
}));
