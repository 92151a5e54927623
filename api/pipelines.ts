/**
 * The pipelines that the API shows: those with a definition, those with an unusable one, and those that only the
 * database has.
 */
import { DEFAULT_PIPELINE, FILE_KINDS, type RecordTable } from "../shared/contracts/names.ts";
import { isNewer, type Pipelines } from "../shared/pipeline/load.ts";
import type { Plan } from "../shared/pipeline/plan.ts";
import { type ReadEnv, resolved } from "../shared/pipeline/resolve.ts";
import { nextTick } from "../shared/pipeline/schedule.ts";
import { currentShapeOf } from "../shared/store/current_shape.ts";
import type { Shown } from "../shared/store/shown.ts";

export interface PipelineView {
  readonly name: string;
  /** Absent if its definition is unusable or was removed. */
  readonly plan?: Plan;
  readonly problems: readonly string[];
}

/** The pipelines in the store; undefined while there is no store. */
type Kept = ReadonlyMap<string, Pick<Shown, "current">> | undefined;

export function viewPipelines(pipelines: Pipelines, kept: Kept): PipelineView[] {
  const { plans, broken } = pipelines;
  const names = new Set([...plans.keys(), ...broken.keys(), ...kept?.keys() ?? []]);
  return [...names].sort().map((name) => {
    const plan = plans.get(name);
    if (plan !== undefined) return { name, plan, problems: [] };
    return { name, problems: broken.get(name) ?? [absence(pipelines, name)] };
  });
}

/** The problem with a pipeline that has no usable definition. */
export function absence(pipelines: Pipelines, name: string): string {
  return isNewer(pipelines, name)
    ? `${name}.ts: the definition was written after the API had read them all; start the services again`
    : `${name}.ts: the definition was removed`;
}

/** The default pipeline: `users`, or the only one. */
export function defaultPipeline({ plans }: Pipelines): string {
  const [only, ...others] = plans.keys();
  return plans.has(DEFAULT_PIPELINE) || only === undefined || others.length > 0 ? DEFAULT_PIPELINE : only;
}

export function recordTables(pipelines: Pipelines, kept: Kept): RecordTable[] {
  return viewPipelines(pipelines, kept).flatMap(({ name }) =>
    FILE_KINDS.map((kind): RecordTable => `${kind}_${name}`)
  );
}

export function currentTables(pipelines: Pipelines, kept: Kept): string[] {
  return viewPipelines(pipelines, kept).flatMap((view) => hasCurrent(view, kept) ? namesOf(view.name) : []);
}

export function tablesOf(view: PipelineView, kept: Kept): string[] {
  const { name } = view;
  return [...FILE_KINDS.map((kind) => `${kind}_${name}`), ...hasCurrent(view, kept) ? namesOf(name) : []];
}

function hasCurrent({ name, plan }: PipelineView, kept: Kept): boolean {
  const shown = kept?.get(name);
  if (shown !== undefined) return shown.current !== null;
  return plan !== undefined && currentShapeOf(plan.definition) !== null;
}

function namesOf(pipeline: string): [string, string] {
  return [pipeline, `${pipeline}_changes`];
}

/** A cron pattern, or `off`. */
export function scheduleOf({ definition }: Plan, readEnv: ReadEnv): string {
  return resolved(definition.schedule ?? "off", readEnv, "schedule").value;
}

/** ISO 8601 in UTC; null without a schedule. */
export function nextRunOf(plan: Plan, readEnv: ReadEnv): string | null {
  const schedule = scheduleOf(plan, readEnv);
  if (plan.name === DEFAULT_PIPELINE && readEnv("SLEEP_INTERVAL_SECONDS")) return null; // by an interval, not by the clock
  try {
    const at = nextTick({ SCHEDULE: schedule, TZ: readEnv("TZ") || "UTC" }, Date.now());
    return at === undefined ? null : new Date(at).toISOString();
  } catch {
    return null; // the extractor reports it
  }
}

/** The definition's own address, even if the environment sets another one. */
export function sourceOf({ definition: { source: { url } } }: Plan): string {
  return typeof url === "string" ? url : String((url as { fallback?: string }).fallback ?? "");
}
