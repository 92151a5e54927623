import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { isFinal } from "../../../../shared/contracts/phases.ts";
import {
  type Actor,
  ACTOR_CHANGES,
  ACTORS,
  PIPELINES,
  RUN_EVENTS,
  type RunLine,
  RUNS,
} from "../../../client/operations.ts";
import type { AnswerOf } from "../../../client/graphql.ts";
import { t } from "../i18n.ts";
import { ActorCards } from "../parts/actors.tsx";
import { RunChart } from "../parts/chart.tsx";
import { CurrentRun } from "../parts/current_run.tsx";
import { PipelineList } from "../parts/pipelines.tsx";
import { RunTable } from "../parts/run_table.tsx";
import { api, chosen, steer, useEvery, useFollowing, useReading, useSoon } from "../state.ts";
import { Empty, Page, Panel, Read, useLater } from "../ui.tsx";

/** Number of runs on a page of the table, and in the chart. */
const PAGE = 30;

/**
 * How often beats and active runs are read, in milliseconds: no event reports an unchanged beat, and events precede the
 * row.
 */
const BEAT_MS = 5000;

export function Dashboard(): JSX.Element {
  const runs = useReading(RUNS, { first: PAGE, pipeline: chosen.value });
  const pipelines = useReading(PIPELINES);
  const actors = useReading(ACTORS);
  const [changed, setChanged] = useState<Record<string, Actor>>({});
  const refreshSoon = useSoon(() => {
    runs.refresh();
    pipelines.refresh();
  });
  useFollowing(RUN_EVENTS, { onData: refreshSoon, onUp: refreshSoon });
  useFollowing(ACTOR_CHANGES, {
    onData: ({ actorChanges }) => setChanged((all) => ({ ...all, [actorChanges.name]: actorChanges })),
    onUp: actors.refresh,
  });
  useEvery(BEAT_MS, () => {
    actors.refresh();
    if (runs.data?.etlRunsConnection.nodes.some(({ status }) => !isFinal(status))) refreshSoon();
  });
  const several = (pipelines.data?.pipelines.length ?? 0) > 1 && chosen.value === undefined;
  const all = actors.data?.actors.map((actor) => newer(actor, changed[actor.name]));
  const start = (
    <button
      type="button"
      class="main"
      title={t("startRunText")}
      onClick={() => steer("startRun", { pipeline: chosen.value }, t("started"))}
    >
      {t("startRun")}
    </button>
  );
  return (
    <Page title={t("runs")} aside={start}>
      <Read reading={runs}>
        {({ etlRunsConnection: page, etlRunsConnection: { nodes, totalCount } }) => (
          <>
            <CurrentRun runs={nodes} actors={all ?? []} />
            <Panel title={t("actors")}>
              <Read reading={actors}>{() => <ActorCards actors={all!} refresh={actors.refresh} />}</Read>
            </Panel>
            <PipelineList pipelines={pipelines.data?.pipelines ?? []} />
            {nodes.length === 0 ? <Empty title={t("noRuns")} text={t("noRunsText")} /> : (
              <>
                <RunChart runs={nodes} />
                <Panel
                  title={t("lastRuns")}
                  aside={<span class="quiet">{t("runsInAll", { n: totalCount })}</span>}
                >
                  <RunTable label={t("lastRuns")} runs={nodes} named={several} />
                  <Older key={page.pageInfo.endCursor} page={page} named={several} />
                </Panel>
              </>
            )}
          </>
        )}
      </Read>
    </Page>
  );
}

/** The more recent of the two: a change that arrived while the list was being read must not be lost. */
function newer(read: Actor, change: Actor | undefined): Actor {
  const seen = (actor: Actor) => Math.max(0, ...actor.instances.map((one) => Date.parse(one.lastSeenAt)));
  return change !== undefined && seen(change) > seen(read) ? change : read;
}

function Older({ page, named }: {
  page: AnswerOf<typeof RUNS>["etlRunsConnection"];
  named: boolean;
}): JSX.Element {
  const { later, more } = useLater<RunLine>(page, async (after) => {
    return (await api.ask(RUNS, { first: PAGE, after, pipeline: chosen.value })).etlRunsConnection;
  });
  return (
    <>
      {later.length > 0 && <RunTable label={`${t("lastRuns")} (2)`} runs={later} named={named} />}
      {more}
    </>
  );
}
