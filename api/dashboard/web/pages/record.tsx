import type { JSX } from "preact";
import { RECORD, type RecordHistory } from "../../../client/operations.ts";
import { complaint, t, time } from "../i18n.ts";
import { Differences } from "../parts/changes.tsx";
import { address } from "../router.ts";
import { useReading } from "../state.ts";
import { Empty, Fact, Page, Panel, Read, RunFact, Table } from "../ui.tsx";
import { shown } from "../values.ts";

const LAST = 50;

export function RecordPage(): JSX.Element {
  const { searchParams } = address.value;
  const key = searchParams.get("key") ?? "";
  const pipeline = searchParams.get("pipeline") ?? undefined;
  const reading = useReading(RECORD, { key, pipeline, last: LAST });
  return (
    <Page title={t("recordTitle", { key })}>
      <Read reading={reading}>
        {({ record }) =>
          record === null
            ? (
              <Empty title={t("noRecord")}>
                <a href="/records">{t("currentRecords")}</a>
              </Empty>
            )
            : <Whole record={record} />}
      </Read>
    </Page>
  );
}

function Whole({ record }: { record: RecordHistory }): JSX.Element {
  const { current, origin, changes: { nodes, pageInfo }, invalid } = record;
  return (
    <>
      <Panel title={t("now")} aside={<span class="quiet">{record.pipeline}</span>}>
        {current === null ? <p>{t("notCurrent")}</p> : (
          <>
            <dl class="facts wide">
              <Fact name={t("changedAt")}>{time(current.changedAt)}</Fact>
              <RunFact name="changedRun" run={current.changedRun} />
              <RunFact name="seenRun" run={current.seenRun} />
              <RunFact name="firstRun" run={current.firstRun} />
            </dl>
            <Table label={t("now")} heads={[t("field"), t("value")]}>
              {Object.entries(current.data).map(([field, value]) => (
                <tr key={field}>
                  <th scope="row" class="code">{field}</th>
                  <td class="long">{shown(value)}</td>
                </tr>
              ))}
            </Table>
          </>
        )}
      </Panel>
      {origin && <Origin origin={origin} />}
      <Panel title={t("history")}>
        {pageInfo.hasPreviousPage && <p class="quiet">{t("historyCut", { n: LAST })}</p>}
        <ul class="records">
          {nodes.toReversed().map((change) => (
            <li key={change.runId}>
              <h3>
                {t(`change.${change.change}`)} ·{" "}
                <a href={`/runs/${change.runId}`}>{t("runTitle", { id: change.run?.id ?? "" })}</a> ·{" "}
                {time(change.at)}
              </h3>
              {change.change === "CHANGED" && <Differences change={change} />}
            </li>
          ))}
        </ul>
      </Panel>
      <Panel title={t("badRecords")}>
        {invalid.length === 0
          ? <p class="quiet">{t("neverBad")}</p>
          : (
            <Table label={t("badRecords")} heads={[t("run"), t("happened"), t("reason"), t("corrections")]}>
              {invalid.map((bad) => (
                <tr key={`${bad.runId}/${bad.line}`}>
                  <th scope="row">
                    <a href={`/runs/${bad.runId}`}>{bad.run?.id}</a>
                  </th>
                  <td class="nowrap">{time(bad.insertionDate)}</td>
                  <td class="long">{complaint(bad.errorReason ?? "")}</td>
                  <td>
                    {bad.corrections.map(({ runId, run }) => (
                      <a key={runId} href={`/runs/${runId}`}>{run?.id}</a>
                    ))}
                  </td>
                </tr>
              ))}
            </Table>
          )}
      </Panel>
    </>
  );
}

function Origin({ origin }: { origin: NonNullable<RecordHistory["origin"]> }): JSX.Element {
  const { run, raw, rulesSha256, areRulesCurrent } = origin;
  const file = run.files.find(({ kind }) => kind === "raw");
  const rules = areRulesCurrent === null ? "" : ` (${areRulesCurrent ? t("rulesSame") : t("rulesOther")})`;
  return (
    <Panel title={t("origin")}>
      <dl class="facts wide">
        <RunFact name="run" run={run} />
        {run.source && <Fact code name={t("source")}>{run.source}</Fact>}
        {file && <Fact code name={t("rawFile")}>{file.name}</Fact>}
        {raw && <Fact name={t("rawLine")}>{raw.line}</Fact>}
        {origin.page !== null && <Fact name={t("pageNumber")}>{origin.page}</Fact>}
        {origin.request !== null && <Fact code name={t("request")}>{origin.request}</Fact>}
        {raw?.corrects && (
          <Fact name={t("corrects")}>
            {t("correctsText", {
              line: raw.corrects.line,
              run: raw.corrects.run?.id ?? "",
              reason: complaint(raw.corrects.errorReason ?? ""),
            })}
          </Fact>
        )}
        {rulesSha256 && (
          <Fact name={t("rules")}>
            <span class="code">{rulesSha256.slice(0, 12)}</span>
            {rules}
          </Fact>
        )}
        {run.delivery?.files.filter(({ kind }) => kind === "processed").map(({ remotePath }) => (
          <Fact key={remotePath} code name={t("deliveredFile")}>{remotePath}</Fact>
        ))}
      </dl>
      {file && <p class="code quiet">SHA-256 {file.sha256}</p>}
      {raw === null ? <p class="quiet">{t("rawGone")}</p> : (
        <details>
          <summary>{t("rawRecord")}</summary>
          <pre tabIndex={0}>{JSON.stringify(raw.data, null, 2)}</pre>
        </details>
      )}
    </Panel>
  );
}
