import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { REPLAY, type Run, type Verdict } from "../../../client/operations.ts";
import { MOST_AT_ONCE, patchOf } from "../../../client/repair.ts";
import { shelfOf } from "../drafts.ts";
import { number, t } from "../i18n.ts";
import { useRun } from "../pages/run.tsx";
import { api, confirmed, notice, tell } from "../state.ts";
import { Badge, Panel } from "../ui.tsx";
import { Steps } from "./current_run.tsx";

export function ReplayBar({ run, onVerdicts, onReplayed }: {
  run: Run;
  onVerdicts: (verdicts: readonly Verdict[]) => void;
  onReplayed: (runId: string) => void;
}): JSX.Element {
  const shelf = shelfOf(run.runId);
  const [busy, setBusy] = useState(false);
  const ids = Object.keys(shelf.all.value).slice(0, MOST_AT_ONCE);
  const none = ids.length === 0;

  const ask = async (dryRun: boolean) => {
    const patches = ids.map((id) => patchOf(id, shelf.all.value[id]!));
    const { replayInvalidRecords: answer } = await api.ask(REPLAY, {
      runId: run.runId,
      patches,
      dryRun,
    });
    if (answer.verdicts === undefined) {
      notice.value = { bad: true, text: answer.message ?? answer.__typename };
    } else onVerdicts(answer.verdicts);
    return answer;
  };
  const alone = (work: () => Promise<void>) => async () => {
    setBusy(true);
    await work().catch(tell);
    setBusy(false);
  };
  const check = alone(async () => {
    const { verdicts } = await ask(true);
    if (verdicts === undefined) return;
    const valid = verdicts.filter((verdict) => verdict.valid).length;
    notice.value = { bad: false, text: t("checked", { valid, invalid: verdicts.length - valid }) };
  });
  const replay = alone(async () => {
    const { verdicts } = await ask(true);
    if (verdicts === undefined) return;
    const bad = verdicts.filter((verdict) => !verdict.valid).length;
    const text = `${t("replayText")}${bad > 0 ? ` ${t("replayBad", { n: bad })}` : ""}`;
    if (!await confirmed({ title: t("replayQuestion", { n: ids.length }), text, action: "replay" })) return;
    const { runId } = await ask(false);
    if (runId === undefined) return;
    shelf.put(Object.fromEntries(ids.map((id) => [id, undefined])));
    onVerdicts([]);
    notice.value = { bad: false, text: t("replayed"), href: `/runs/${runId}` };
    onReplayed(runId);
  });
  const discard = async () => {
    const question = { title: t("discardAllQuestion"), text: t("discardAllText"), grave: true };
    if (!await confirmed({ ...question, action: "discardAll" })) return;
    shelf.put(Object.fromEntries(Object.keys(shelf.all.value).map((id) => [id, undefined])));
    onVerdicts([]);
  };
  return (
    <div class="panel toolbar">
      <span role="status">
        {none ? t("nothingChanged") : t("changed", { n: Object.keys(shelf.all.value).length })}
      </span>
      <div class="buttons">
        <button type="button" class="plain" disabled={none || busy} onClick={discard}>
          {t("discardAll")}
        </button>
        <button type="button" disabled={none || busy} onClick={check}>{t("check")}</button>
        <button type="button" class="main" disabled={none || busy} onClick={replay}>{t("replay")}</button>
      </div>
    </div>
  );
}

export function Following({ runId }: { runId: string }): JSX.Element {
  const run = useRun(runId).data?.etlRun;
  return (
    <Panel title={t("following")} aside={<a href={`/runs/${runId}`}>{t("open", { id: run?.id ?? "" })}</a>}>
      <Steps status={run?.status ?? "REQUESTED"} />
      <p role="status">
        <Badge of="status" state={run?.status ?? "REQUESTED"} />
        {run?.validCount != null && (
          <span class="numbers">
            {" "}
            {t("valid")}: {number(run.validCount)} · {t("invalid")}: {number(run.invalidCount)}
          </span>
        )}
        {run?.failure && <span class="error">{run.failure.reason}</span>}
      </p>
    </Panel>
  );
}
