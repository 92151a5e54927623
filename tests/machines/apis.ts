/**
 * GraphQL requests to the cluster, sent to any API that responds.
 *
 * @module
 */
import { pause } from "../../shared/actor/backoff.ts";
import { isFinal, type RunStatus } from "../../shared/contracts/messages.ts";

export interface ShownRun {
  readonly runId: string;
  readonly pipeline: string;
  readonly status: RunStatus;
  readonly failure: { readonly reason: string } | null;
}

/** The longest wait for a response of an API, in milliseconds. */
const ANSWER_MS = 5_000;
/** The longest wait before the drill has failed, in milliseconds. */
const PATIENCE_MS = 240_000;
const EVERY_MS = 100;

const START =
  `mutation ($pipeline: String!) { startRun(input: { pipeline: $pipeline, requestedBy: "drill" }) {
  __typename ... on StartRunSuccess { runId } } }`;
const RUNS = `{ etlRuns(limit: 10) { runId pipeline status failure { reason } } }`;
const HOSTS = `{ actors { instances { host } } }`;

export class Apis {
  constructor(private readonly origins: readonly string[]) {}

  /**
   * Requests a run of `pipeline`; returns its id. If an API dies before it responds, it may or may not have
   * passed the request on. The request is then repeated, which may result in an additional run.
   */
  request(pipeline: string): Promise<string> {
    return this.#until(`a run of ${pipeline} is accepted`, async (origin) => {
      const { startRun } = await ask<{ startRun: { runId?: string } }>(origin, START, { pipeline });
      return startRun.runId;
    });
  }

  /** Waits until no run is under way and these runs are known; returns the latest runs. */
  ended(runIds: readonly string[]): Promise<ShownRun[]> {
    return this.#until(`${runIds.join(" and ")} end`, async (origin) => {
      const { etlRuns } = await ask<{ etlRuns: ShownRun[] }>(origin, RUNS);
      const known = runIds.every((id) => etlRuns.some(({ runId }) => runId === id));
      return known && etlRuns.every(({ status }) => isFinal(status)) ? etlRuns : undefined;
    });
  }

  /** Waits until the actors of these machines are present. */
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
