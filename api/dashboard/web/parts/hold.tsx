import type { JSX } from "preact";
import type { JsonObject } from "../../../../shared/pipeline/problems.ts";
import type { Run } from "../../../client/operations.ts";
import { number, t, time } from "../i18n.ts";
import { steer } from "../state.ts";
import { Panel, Table } from "../ui.tsx";

type Hold = NonNullable<Run["hold"]>;

export function Held({ run, hold }: { run: Run; hold: Hold }): JSX.Element {
  const { comparedWith: before, decision } = hold;
  const rows = [{ ...hold, id: run.id, runId: run.runId }, ...before === null ? [] : [before]];
  return (
    <Panel title={t("held")} aside={decision === null && <Decide run={run} />}>
      <div class="note warn">
        <strong>{hold.reason}</strong>
        {decision !== null && (
          <span>
            {t(`decided.${decision}`, { by: hold.decidedBy ?? "", at: time(hold.decidedAt ?? "") })}
          </span>
        )}
      </div>
      <Table label={t("compared")} heads={[t("run"), { number: t("valid") }, { number: t("invalid") }]}>
        {rows.map(({ id, runId, validCount, invalidCount }) => (
          <tr key={runId}>
            <th scope="row">
              <a href={`/runs/${runId}`}>{id}</a>
            </th>
            <td class="num">{number(validCount)}</td>
            <td class="num">{number(invalidCount)}</td>
          </tr>
        ))}
      </Table>
      {hold.samples.length > 0 && <h3>{t("samples")}</h3>}
      {hold.samples.map((sample: JsonObject | null, place) => (
        <details key={place}>
          <summary>{String(sample?.error_reason ?? sample?.raw_line)}</summary>
          <pre class="code">{JSON.stringify(sample, undefined, 1)}</pre>
        </details>
      ))}
    </Panel>
  );
}

export function Decide({ run: { id, runId } }: { run: Pick<Run, "id" | "runId"> }): JSX.Element {
  const decide = (action: "releaseRun" | "rejectRun") => async () => {
    const question = { title: t(`${action}Question`, { id }), text: t(`${action}Text`), action };
    await steer(action, { runId }, t(`${action}Done`), { ...question, grave: action === "rejectRun" });
  };
  return (
    <div class="buttons">
      <button type="button" class="main" onClick={decide("releaseRun")}>{t("releaseRun")}</button>
      <button type="button" onClick={decide("rejectRun")}>{t("rejectRun")}</button>
    </div>
  );
}
