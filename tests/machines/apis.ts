/**
 * What people and programs ask of the cluster: GraphQL, at whichever API answers.
 *
 * @module
 */
import { pause } from "../../shared/actor/backoff.ts";
import { isFinal, type RunStatus } from "../../shared/contracts/messages.ts";

/** A run, as an API shows it. */
export interface ShownRun {
  readonly runId: string;
  readonly pipeline: string;
  readonly status: RunStatus;
  readonly failure: { readonly reason: string } | null;
}

/** How long an API may take to answer, in milliseconds. */
const ANSWER_MS = 5_000;
/** How long anything may take before the drill has failed, in milliseconds. */
const PATIENCE_MS = 240_000;
const EVERY_MS = 100;

const START =
  `mutation ($pipeline: String!) { startRun(input: { pipeline: $pipeline, requestedBy: "drill" }) {
  __typename ... on StartRunSuccess { runId } } }`;
const RUNS = `{ etlRuns(limit: 10) { runId pipeline status failure { reason } } }`;
const HOSTS = `{ actors { instances { host } } }`;

/** The APIs of a cluster. */
export class Apis {
  constructor(private readonly origins: readonly string[]) {}

  /**
   * Requests a run of `pipeline`; returns its id. Where an API dies before it answers, nobody knows whether it passed the request on: it is
   * made again, and the run that came of the first one is one more.
   */
  request(pipeline: string): Promise<string> {
    return this.#until(`a run of ${pipeline} is accepted`, async (origin) => {
      const { startRun } = await ask<{ startRun: { runId?: string } }>(origin, START, { pipeline });
      return startRun.runId;
    });
  }

  /** Waits until no run of these pipelines is under way, and this one is known; returns the last ones. */
  ended(runIds: readonly string[]): Promise<ShownRun[]> {
    return this.#until(`${runIds.join(" and ")} end`, async (origin) => {
      const { etlRuns } = await ask<{ etlRuns: ShownRun[] }>(origin, RUNS);
      const known = runIds.every((id) => etlRuns.some(({ runId }) => runId === id));
      return known && etlRuns.every(({ status }) => isFinal(status)) ? etlRuns : undefined;
    });
  }

  /** Waits until these machines work. */
  async present(names: readonly string[]): Promise<void> {
    for (const origin of this.origins) {
      await this.#until(`${names.join(", ")} are shown by ${origin}`, async () => {
        const { actors } = await ask<{ actors: { instances: { host: string }[] }[] }>(origin, HOSTS);
        const shown = new Set(actors.flatMap(({ instances }) => instances.map(({ host }) => host)));
        return names.every((name) => shown.has(name)) || undefined;
      });
    }
  }

  async #until<T>(what: string, look: (origin: string) => Promise<T | undefined>): Promise<T> {
    const deadline = Date.now() + PATIENCE_MS;
    let last: unknown;
    for (let turn = 0; Date.now() < deadline; turn++) {
      try {
        const found = await look(this.origins[turn % this.origins.length]!);
        if (found !== undefined) return found;
      } catch (error) {
        last = error;
      }
      await pause(EVERY_MS);
    }
    throw new Error(`Waited ${PATIENCE_MS / 1000} s until ${what}. Last problem: ${last}`);
  }
}

async function ask<T>(origin: string, query: string, variables: Record<string, unknown> = {}): Promise<T> {
  const answer = await fetch(`${origin}/graphql`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const { data, errors } = await answer.json();
  if (errors !== undefined) throw new Error(`${origin}: ${JSON.stringify(errors)}`);
  return data;
}
