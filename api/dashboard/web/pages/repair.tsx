import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import {
  INVALID_RECORDS,
  type InvalidRecord,
  REPLAY,
  RULES,
  type Run,
  type Verdict,
} from "../../../client/operations.ts";
import { isLine, patchOf, preview } from "../../../client/repair.ts";
import { shelfOf } from "../drafts.ts";
import { complaint, number, t } from "../i18n.ts";
import { Bulk } from "../parts/bulk.tsx";
import { RecordForm, type Rules } from "../parts/record_form.tsx";
import { Following, ReplayBar } from "../parts/replay.tsx";
import { address, go } from "../router.ts";
import { api, tell, useReading } from "../state.ts";
import { Empty, Page, Read, useLater } from "../ui.tsx";
import { NoRun, useRun } from "./run.tsx";

const PAGE = 20;

export function RepairPage({ run: named }: { run: string }): JSX.Element {
  const reading = useRun(named);
  const run = reading.data?.etlRun;
  return (
    <Page
      title={t("repairTitle", { id: run?.id ?? "" })}
      aside={run && <a href={`/runs/${run.runId}`}>{t("runTitle", { id: run.id })}</a>}
    >
      <Read reading={reading}>
        {({ etlRun }) => {
          if (etlRun === null) return <NoRun />;
          return etlRun.invalidCount ? <Repair run={etlRun} /> : <Empty title={t("noBad")} />;
        }}
      </Read>
    </Page>
  );
}

function Repair({ run }: { run: Run }): JSX.Element {
  const reason = address.value.searchParams.get("reason") ?? undefined;
  const [verdicts, setVerdicts] = useState<Record<string, Verdict>>({});
  const [followed, setFollowed] = useState<string | undefined>();
  const known = useReading(RULES, { name: run.pipeline }).data?.pipeline;
  if (known == null) return <p class="quiet loading">{t("loading")}</p>;
  const rules: Rules = { fields: known.fields, schema: known.rules };
  return (
    <>
      <ReasonPicker run={run} reason={reason} />
      {followed !== undefined && <Following key={followed} runId={followed} />}
      <ReplayBar
        run={run}
        onVerdicts={(all) => setVerdicts(Object.fromEntries(all.map((one) => [one.recordId, one])))}
        onReplayed={setFollowed}
      />
      {isOfField(reason, rules) && <Bulk key={reason} runId={run.runId} reason={reason} rules={rules} />}
      <Records
        key={reason}
        run={run}
        reason={reason}
        rules={rules}
        verdicts={verdicts}
        onVerdicts={(all) =>
          setVerdicts((old) => ({ ...old, ...Object.fromEntries(all.map((one) => [one.recordId, one])) }))}
        forget={(recordId) => setVerdicts(({ [recordId]: _old, ...others }) => others)}
      />
    </>
  );
}

/** Whether the reason is about a field, and not about the whole line. */
function isOfField(reason: string | undefined, { fields }: Rules): reason is string {
  return fields.some(({ field }) => reason?.startsWith(`${field}:`));
}

function ReasonPicker({ run, reason }: { run: Run; reason: string | undefined }): JSX.Element {
  const path = `/runs/${run.runId}/invalid`;
  const link = (name: string, count: number | null, href: string, here: boolean) => (
    <li key={name}>
      <a class="chip" href={href} aria-current={here ? "true" : undefined}>
        {name} <span class="quiet">{number(count)}</span>
      </a>
    </li>
  );
  return (
    <nav aria-label={t("reason")}>
      <ul class="chips">
        {link(t("allReasons"), run.invalidCount, path, reason === undefined)}
        {run.reasons.map((one) =>
          link(
            complaint(one.reason),
            one.count,
            `${path}?reason=${encodeURIComponent(one.reason)}`,
            one.reason === reason,
          )
        )}
      </ul>
    </nav>
  );
}

/** How soon after the last keystroke the typed text is validated, in milliseconds. */
const JUDGE_AFTER_MS = 300;

/** Asks the API to validate the shown records by the rules of their pipeline, with their drafts applied. */
function useVerdicts(
  run: Run,
  records: readonly InvalidRecord[],
  onVerdicts: (verdicts: readonly Verdict[]) => void,
): void {
  const drafts = shelfOf(run.runId).all.value;
  const patches = records.flatMap(({ id, data }) => {
    const draft = drafts[id];
    if (draft === undefined) return isLine(data) ? [] : [{ recordId: id }];
    return "unusable" in preview(data, draft) ? [] : [patchOf(id, draft)];
  });
  useEffect(() => {
    if (patches.length === 0) return;
    const gone = new AbortController();
    const timer = setTimeout(() => {
      api.ask(REPLAY, { runId: run.runId, patches, dryRun: true }, gone.signal)
        .then(({ replayInvalidRecords: { verdicts } }) => verdicts && onVerdicts(verdicts))
        .catch((error) => gone.signal.aborted || tell(error));
    }, JUDGE_AFTER_MS);
    return () => {
      clearTimeout(timer);
      gone.abort();
    };
  }, [JSON.stringify(patches)]);
}

function Records({ run, reason, rules, verdicts, onVerdicts, forget }: {
  run: Run;
  reason: string | undefined;
  rules: Rules;
  onVerdicts: (verdicts: readonly Verdict[]) => void;
  verdicts: Readonly<Record<string, Verdict>>;
  forget: (recordId: string) => void;
}): JSX.Element {
  const variables = { runId: run.runId, first: PAGE, reason };
  // a correction changes what is read, but not the forms in which somebody types
  const corrections = run.corrections.map(({ runId, status }) => `${runId} ${status}`).join();
  const reading = useReading(INVALID_RECORDS, variables, corrections);
  const first = reading.data?.invalidRecords;
  const { later, more } = useLater<InvalidRecord>(
    first,
    async (after) => (await api.ask(INVALID_RECORDS, { ...variables, after })).invalidRecords,
    corrections,
  );
  useVerdicts(run, [...first?.nodes ?? [], ...later], onVerdicts);
  return (
    <Read reading={reading}>
      {({ invalidRecords: { nodes } }) => {
        if (nodes.length === 0) {
          return (
            <Empty title={t("noBadReason")}>
              <button type="button" onClick={() => go(address.value.pathname)}>{t("allReasons")}</button>
            </Empty>
          );
        }
        return (
          <>
            <ul class="records">
              {[...nodes, ...later].map((record) => (
                <li key={record.id}>
                  <RecordForm
                    record={record}
                    shelf={shelfOf(run.runId)}
                    corrections={run.corrections}
                    rules={rules}
                    verdict={verdicts[record.id]}
                    forget={() => forget(record.id)}
                  />
                </li>
              ))}
            </ul>
            {more}
          </>
        );
      }}
    </Read>
  );
}
