import type { JSX } from "preact";
import { isFinal } from "../../../../shared/contracts/phases.ts";
import type { AnswerOf } from "../../../client/graphql.ts";
import { RUN, type Run, RUN_EVENTS } from "../../../client/operations.ts";
import { number, t, time } from "../i18n.ts";
import { RunChanges } from "../parts/changes.tsx";
import { Deliveries, Files } from "../parts/files.tsx";
import { Held } from "../parts/hold.tsx";
import { Reasons } from "../parts/reasons.tsx";
import { Redeliver, RunTable } from "../parts/run_table.tsx";
import { Events, Phases } from "../parts/timeline.tsx";
import { type Reading, useEvery, useFollowing, useReading, useSoon } from "../state.ts";
import { Badge, Empty, Fact, Page, Panel, Read, RunFact } from "../ui.tsx";

/**
 * How often an unfinished run, or one with an unfinished correction, is also read, in milliseconds: events arrive
 * before they are stored.
 */
const GOING_MS = 2000;

/** Reads the run that the address names, and reads it again after each of its events. */
export function useRun(named: string): Reading<AnswerOf<typeof RUN>> {
  const reading = useReading(RUN, /^\d+$/.test(named) ? { id: named } : { runId: named });
  const run = reading.data?.etlRun;
  const refreshSoon = useSoon(reading.refresh);
  // corrections of a run are events of other runs
  useFollowing(RUN_EVENTS, { onData: refreshSoon, onUp: refreshSoon });
  const going = run == null || [run, ...run.corrections].some(({ status }) => !isFinal(status));
  useEvery(GOING_MS, () => going && reading.refresh());
  return reading;
}

export function RunPage({ run: named }: { run: string }): JSX.Element {
  const reading = useRun(named);
  const run = reading.data?.etlRun;
  return (
    <Page
      title={t("runTitle", { id: run?.id ?? "" })}
      aside={run && (
        <div class="buttons">
          {run.invalidCount
            ? <a class="button main" href={`/runs/${run.runId}/invalid`}>{t("repairAll")}</a>
            : null}
          {run.delivery && <Redeliver run={run} />}
        </div>
      )}
    >
      <Read reading={reading}>
        {({ etlRun }) => etlRun === null ? <NoRun /> : <Whole run={etlRun} />}
      </Read>
    </Page>
  );
}

export function NoRun(): JSX.Element {
  return (
    <Empty title={t("noRun")}>
      <a href="/">{t("back")}</a>
    </Empty>
  );
}

function Whole({ run }: { run: Run }): JSX.Element {
  return (
    <>
      <section class="panel" aria-label={t("status")}>
        <dl class="facts wide">
          <Fact name={t("status")}>
            <Badge of="status" state={run.status} />
          </Fact>
          <Fact name={t("valid")}>{number(run.validCount)}</Fact>
          <Fact name={t("invalid")}>{number(run.invalidCount)}</Fact>
          <Fact name={t("when")}>{time(run.runTimestamp)}</Fact>
          {run.requestedBy && <Fact name={t("requestedBy")}>{run.requestedBy}</Fact>}
          {run.source && <Fact code name={t("source")}>{run.source}</Fact>}
          {run.completeness && (
            <>
              <Fact name={t("announced")}>{number(run.completeness.announced)}</Fact>
              <Fact name={t("received")}>{number(run.completeness.received)}</Fact>
              <Fact name={t("repeated")}>{number(run.completeness.repeated)}</Fact>
              <Fact name={t("missing")}>{number(run.completeness.missing)}</Fact>
            </>
          )}
          {run.correctionOf && <RunFact name="correctionOf" run={run.correctionOf} />}
          {run.supersededBy && <RunFact name="supersededBy" run={run.supersededBy} />}
        </dl>
        {run.since && (
          <p class="quiet">
            {t("since")} <span class="code">{run.since.from}</span> · {t("upTo")}{" "}
            <span class="code">{run.since.to ?? t("nothingCame")}</span>
          </p>
        )}
        <p class="code quiet">{run.runId}</p>
        {run.completeness && run.completeness.missing > 0 && (
          <div class="note bad">{t("missingNote", { count: number(run.completeness.missing) })}</div>
        )}
        {run.failure && (
          <div class="note bad">
            <strong>{t("failure")}</strong>
            <span>{run.failure.reason}</span>
            <span>{run.failure.retryable ? t("retryable") : t("notRetryable")}</span>
          </div>
        )}
      </section>
      {run.hold && <Held run={run} hold={run.hold} />}
      <Panel title={t("phases")}>
        <Phases run={run} />
      </Panel>
      <Panel title={t("reasons")}>
        {run.reasons.length > 0 ? <Reasons run={run} /> : (
          <p class="quiet">
            {run.validCount === null && !isFinal(run.status) ? t("reasonsLater") : t("noReasons")}
          </p>
        )}
      </Panel>
      <Panel title={t("lookupGaps")}>
        {run.lookupGaps.length === 0 ? <p class="quiet">{t("noGaps")}</p> : (
          <ul class="chips">
            {run.lookupGaps.map(({ department, count }) => (
              <li key={department}>{department} × {number(count)}</li>
            ))}
          </ul>
        )}
      </Panel>
      {run.changes && (
        <Panel title={t("changes")}>
          <RunChanges run={run} counts={run.changes} />
        </Panel>
      )}
      <Panel title={t("files")}>
        <Files run={run} />
      </Panel>
      <Panel title={t("delivery")}>
        <Deliveries run={run} />
      </Panel>
      <Panel title={t("corrections")}>
        {run.corrections.length === 0
          ? <p class="quiet">{t("noCorrections")}</p>
          : <RunTable label={t("corrections")} runs={run.corrections} />}
      </Panel>
      <Panel title={t("events")}>
        <Events run={run} />
      </Panel>
    </>
  );
}
