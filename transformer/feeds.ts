import { variable } from "../shared/config/config.ts";
import { ConfigError } from "../shared/errors/errors.ts";
import { type Pipelines, planFor } from "../shared/pipeline/load.ts";
import { variablesOf } from "../shared/pipeline/resolve.ts";
import { readLookups } from "./lookup.ts";
import type { Feed, TransformerParts } from "./transformer.ts";

/**
 * Reads the lookups of all pipelines. A pipeline with an unusable lookup or definition is disabled alone: its problems
 * are logged, and its messages are refused with them.
 *
 * @throws ConfigError when LOOKUP_FILE names an unusable file.
 */
export async function readFeeds(
  pipelines: Pipelines,
  { dir, lookupFile, log }: {
    dir: string;
    lookupFile: string | undefined;
    log: { error(message: string, properties: Record<string, unknown>): void };
  },
): Promise<TransformerParts["feedOf"]> {
  const feeds = new Map<string, Feed>();
  const broken = new Map(pipelines.broken);
  for (const [name, plan] of pipelines.plans) {
    const isGiven = lookupFile !== undefined && variablesOf(plan.definition.add).includes(LOOKUP_FILE);
    try {
      const readEnv = (name: string) => name === LOOKUP_FILE ? lookupFile : variable(name);
      feeds.set(name, { plan, lookups: await readLookups(plan, { dir, readEnv }) });
    } catch (error) {
      if (!(error instanceof ConfigError) || isGiven) throw error;
      broken.set(name, error.problems);
    }
  }
  for (const [pipeline, problems] of broken) log.error("pipeline out of service", { pipeline, problems });
  const plans = new Map([...feeds].map(([name, { plan }]) => [name, plan]));
  return (name) => feeds.get(planFor({ plans, broken, dir }, name).name)!;
}

const LOOKUP_FILE = "LOOKUP_FILE";
