import type { JSX } from "preact";
import { isFinal, PHASES } from "../../../../shared/contracts/phases.ts";
import type { Actor, RunLine } from "../../../client/operations.ts";
import { bytes, elapsed, number, t } from "../i18n.ts";
import { now, steer } from "../state.ts";
import { Badge, Panel, Progress } from "../ui.tsx";
import { Decide } from "./hold.tsx";

export function CurrentRun({ runs, actors }: {
  runs: readonly RunLine[];
  actors: readonly Actor[];
}): JSX.Element {
  const run = runs.find(({ status }) => !isFinal(status));
  return (
    <Panel
      title={t("current")}
      aside={run && <a href={`/runs/${run.runId}`}>{t("open", { id: run.id })}</a>}
    >
      {run === undefined ? <p class="quiet">{t("nothingRuns")}</p> : <Going run={run} actors={actors} />}
    </Panel>
  );
}

function amountOf({ records, total, unit }: NonNullable<Actor["instances"][number]["currentRun"]>): string {
  const written = unit === "bytes" ? bytes : number;
  const amount = [records, ...(total === null ? [] : [total])].map(written).join(" / ");
  return unit === "bytes" ? amount : `${amount} ${t("records").toLowerCase()}`;
}

function Going({ run, actors }: { run: RunLine; actors: readonly Actor[] }): JSX.Element {
  const work = actors.flatMap(({ instances }) => instances)
    .map(({ currentRun }) => currentRun).find((current) => current?.runId === run.runId);
  const since = Date.parse(run.startedAt ?? run.runTimestamp);
  const cancel = async () => {
    const { id, runId } = run;
    const question = {
      title: t("cancelQuestion", { id }),
      text: t("cancelText"),
      action: "cancelRun" as const,
    };
    await steer("cancelRun", { runId }, t("cancelled"), { ...question, grave: true });
  };
  return (
    <div class="going">
      <Steps status={run.status} />
      {run.status !== "HELD" && (
        <Progress label={t("current")} value={work?.records ?? 0} total={work?.total ?? null} />
      )}
      <div class="panel-head">
        <span>
          <Badge of="status" state={run.status} /> {work && <span class="numbers">{amountOf(work)}</span>}
        </span>
        <span class="quiet numbers">{elapsed(now.value - since)}</span>
        {run.status === "HELD"
          ? <Decide run={run} />
          : <button type="button" onClick={cancel}>{t("cancelRun")}</button>}
      </div>
    </div>
  );
}

export function Steps({ status }: { status: RunLine["status"] }): JSX.Element {
  const at = status === "COMPLETED"
    ? PHASES.length
    : status === "DELIVERY_PENDING"
    ? PHASES.indexOf("DELIVERING")
    : status === "HELD"
    ? PHASES.indexOf("LOADING")
    : PHASES.findIndex((phase) => phase === status);
  return (
    <ol class="steps">
      {PHASES.map((phase, place) => (
        <li
          key={phase}
          class={place < at ? "done" : place === at ? "here" : ""}
          aria-current={place === at ? "step" : undefined}
        >
          {t(`status.${phase}`)}
        </li>
      ))}
    </ol>
  );
}
