import type { JSX } from "preact";
import { isFinal } from "../../../../shared/contracts/phases.ts";
import type { RunLine } from "../../../client/operations.ts";
import { duration, number, t, time } from "../i18n.ts";
import { steer } from "../state.ts";
import { Badge, Table } from "../ui.tsx";

export function RunTable({ runs, label, named = false }: {
  runs: readonly RunLine[];
  label: string;
  /** Whether each run shows its pipeline. */
  named?: boolean;
}): JSX.Element {
  const heads = [
    t("run"),
    ...(named ? [t("pipeline")] : []),
    t("when"),
    t("status"),
    { number: t("valid") },
    { number: t("invalid") },
    { number: t("duration") },
    { number: t("speed") },
    t("delivered"),
    { hidden: t("actions") },
  ];
  return (
    <Table label={label} heads={heads}>
      {runs.map((run) => <Row key={run.runId} run={run} named={named} />)}
    </Table>
  );
}

function Row({ run, named }: { run: RunLine; named: boolean }): JSX.Element {
  return (
    <tr>
      <th scope="row">
        <a href={`/runs/${run.runId}`}>{run.id}</a>
        {run.correctionOf && (
          <span class="tag" title={`${t("correctionOf")} ${run.correctionOf.id}`}>
            ↻ {run.correctionOf.id}
          </span>
        )}
      </th>
      {named && <td>{run.pipeline}</td>}
      <td class="nowrap">
        <time dateTime={run.runTimestamp}>{time(run.runTimestamp)}</time>
        {run.since && (
          <div class="quiet" title={`${t("since")} … ${t("upTo").toLowerCase()} …`}>
            {run.since.from} → {run.since.to ?? "–"}
          </div>
        )}
      </td>
      <td>
        <Badge of="status" state={run.status} />
      </td>
      <td class="num">{number(run.validCount)}</td>
      <td class="num">
        {run.invalidCount
          ? <a href={`/runs/${run.runId}/invalid`} class="error">{number(run.invalidCount)}</a>
          : number(run.invalidCount)}
      </td>
      <td class="num nowrap">{duration(run.durationMs)}</td>
      <td class="num">{number(speedOf(run))}</td>
      <td>{run.delivery ? <Badge of="delivery" state={run.delivery.state} /> : "–"}</td>
      <td class="num">{run.delivery && <Redeliver run={run} />}</td>
    </tr>
  );
}

export function Redeliver({ run: { id, runId, status } }: { run: RunLine }): JSX.Element | null {
  if (!isFinal(status) && status !== "DELIVERY_PENDING") return null;
  const redeliver = async () => {
    const question = { title: t("redeliverQuestion", { id }), text: t("redeliverText") };
    await steer("redeliverRun", { runId }, t("redelivering"), { ...question, action: "redeliver" });
  };
  return (
    <button type="button" aria-label={t("redeliverNamed", { id })} onClick={redeliver}>
      {t("redeliver")}
    </button>
  );
}

/** Records per second over the whole run; null until it is known. */
export function speedOf({ validCount, invalidCount, durationMs }: RunLine): number | null {
  if (validCount === null || invalidCount === null || !durationMs) return null;
  return Math.round((validCount + invalidCount) / (durationMs / 1000));
}
