import type { JSX } from "preact";
import type { Pipeline } from "../../../client/operations.ts";
import { number, t, time } from "../i18n.ts";
import { chosen, steer } from "../state.ts";
import { Badge, Panel, Table } from "../ui.tsx";

/** Shows nothing if there is only one pipeline and it works. */
export function PipelineList({ pipelines }: { pipelines: readonly Pipeline[] }): JSX.Element | null {
  if (pipelines.length === 0 || pipelines.length === 1 && pipelines[0]!.problems.length === 0) return null;
  const heads = [
    t("pipeline"),
    t("lastRun"),
    t("status"),
    t("nextRun"),
    { number: t("runs") },
    { hidden: t("actions") },
  ];
  const show = (
    <label class="field">
      <span class="unseen">{t("shownRuns")}</span>
      <select
        value={chosen.value ?? ""}
        onChange={({ currentTarget: { value } }) => chosen.value = value === "" ? undefined : value}
      >
        <option value="">{t("allPipelines")}</option>
        {pipelines.map(({ name }) => <option key={name}>{name}</option>)}
      </select>
    </label>
  );
  return (
    <Panel title={t("pipelines")} aside={show}>
      <Table label={t("pipelines")} heads={heads}>
        {pipelines.map((pipeline) => <Row key={pipeline.name} pipeline={pipeline} />)}
      </Table>
    </Panel>
  );
}

function Row({ pipeline: { name, problems, lastRun, nextRun, runs } }: { pipeline: Pipeline }): JSX.Element {
  const isBroken = problems.length > 0;
  return (
    <tr>
      <th scope="row">
        {name}
        {isBroken && <p class="error">{problems.join("; ")}</p>}
      </th>
      <td class="nowrap">
        {lastRun ? <a href={`/runs/${lastRun.runId}`}>{time(lastRun.runTimestamp)}</a> : "–"}
      </td>
      <td>
        {isBroken
          ? <span class="badge bad">{t("outOfService")}</span>
          : lastRun
          ? <Badge of="status" state={lastRun.status} />
          : "–"}
      </td>
      <td class="nowrap">{nextRun ? time(nextRun) : "–"}</td>
      <td class="num">{number(runs)}</td>
      <td class="num nowrap">
        {!isBroken && (
          <button
            type="button"
            aria-label={t("startNamed", { name })}
            onClick={() => steer("startRun", { pipeline: name }, t("started"))}
          >
            {t("startRun")}
          </button>
        )}
      </td>
    </tr>
  );
}
