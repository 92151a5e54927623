/**
 * One bad record: a form made from the rules, its whole JSON for the rest, or its text where it was no JSON.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { MASK } from "../../../../shared/pipeline/merge_patch.ts";
import type { Rule } from "../../../../shared/pipeline/complaints.ts";
import type { Problem } from "../../../../shared/pipeline/problems.ts";
import { usersPlan } from "../../../../shared/pipeline/users.ts";
import type { InvalidRecord, RunLine, Verdict } from "../../../client/operations.ts";
import {
  type Draft,
  draftOf,
  editable,
  isLine,
  preview,
  textOf,
  valueAt,
  withField,
} from "../../../client/repair.ts";
import type { Shelf } from "../drafts.ts";
import { complaint, t } from "../i18n.ts";
import type { Key } from "../texts.ts";

/** The record with its form. */
export function RecordForm({ record, shelf, corrections, verdict, forget }: {
  record: InvalidRecord;
  shelf: Shelf;
  corrections: readonly RunLine[];
  verdict: Verdict | undefined;
  forget: () => void;
}): JSX.Element {
  const draft = shelf.all.value[record.id];
  const put = (changed: Draft | undefined) => {
    forget();
    shelf.put({ [record.id]: changed });
  };
  const name = t("line", { n: record.line });
  const fixedBy = record.corrections.map(({ runId }) => corrections.find((run) => run.runId === runId))
    .filter((run) => run !== undefined);
  return (
    <article class={`panel record ${draft === undefined ? "" : "changed"}`} aria-label={name}>
      <div class="panel-head">
        <h2>{name}</h2>
        {fixedBy.map((run) => (
          <span key={run.runId} class="badge good">
            {t("corrected")} <a href={`/runs/${run.runId}`}>{run.id}</a>
          </span>
        ))}
        {draft !== undefined && (
          <button type="button" class="plain" onClick={() => put(undefined)}>{t("discard")}</button>
        )}
      </div>
      <p class="quiet">{complaint(record.errorReason ?? "")}</p>
      {isLine(record.data)
        ? <LineText record={record} draft={draft} put={put} />
        : <Fields record={record} draft={draft} put={put} />}
      <Standing record={record} draft={draft} verdict={verdict} />
    </article>
  );
}

interface Part {
  readonly record: InvalidRecord;
  readonly draft: Draft | undefined;
  readonly put: (draft: Draft | undefined) => void;
}

function Fields({ record, draft, put }: Part): JSX.Element {
  const look = preview(record.data, draft);
  const current = "record" in look ? look.record : undefined;
  const problems = "problems" in look ? look.problems : [];
  return (
    <>
      <div class="form">
        {usersPlan.rules.map((rule) => (
          <Field
            key={rule.field}
            id={`${record.id} ${rule.field}`}
            rule={rule}
            value={valueAt(current ?? record.data, rule.field)}
            hidden={valueAt(record.data, rule.field) === MASK}
            locked={current === undefined}
            problem={problems.find(({ field }) => field === rule.field)}
            onValue={(value) => put(withField(record.data, draft, rule.field, value))}
          />
        ))}
      </div>
      <details>
        <summary>{t("rawJson")}</summary>
        <RawJson record={record} draft={draft} put={put} />
      </details>
    </>
  );
}

function Field({ id, rule, value, hidden, locked, problem, onValue }: {
  id: string;
  rule: Rule;
  value: unknown;
  hidden: boolean;
  locked: boolean;
  problem: Problem | undefined;
  onValue: (value: unknown) => void;
}): JSX.Element {
  const wanted = t(`wanted.${rule.kind}` as Key, { minimum: rule.minimum ?? 0, maximum: rule.maximum ?? 0 });
  const numeric = rule.kind === "integer" || rule.kind === "number";
  const shown = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
  const wrong = problem !== undefined && !hidden;
  return (
    <div class={`field ${wrong ? "wrong" : ""}`}>
      <label for={id}>{rule.field}</label>
      <input
        id={id}
        type={rule.kind === "email" ? "email" : "text"}
        inputMode={numeric ? "decimal" : undefined}
        autocomplete="off"
        spellcheck={false}
        value={shown}
        disabled={hidden || locked}
        aria-invalid={wrong}
        aria-describedby={`${id} help`}
        onInput={({ currentTarget }) => onValue(typed(currentTarget.value, numeric))}
      />
      <span id={`${id} help`} class={wrong ? "error" : "quiet"}>
        {hidden
          ? t("masked")
          : wrong
          ? `${t("found")}: ${complaint(problem.found)} · ${t("wanted")}: ${wanted}`
          : wanted}
      </span>
    </div>
  );
}

/** What was typed into a field: a number where one is wanted and it is one, else the text. */
export function typed(text: string, numeric: boolean): unknown {
  return numeric && /^\s*-?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : text;
}

function RawJson({ record, draft, put }: Part): JSX.Element {
  const now = textOf(record.data, draft);
  const [text, setText] = useState(now);
  // what is typed here stays as it is typed; what is changed elsewhere shows up here
  useEffect(() => {
    if (JSON.stringify(draftOf(record.data, text)) !== JSON.stringify(draft)) setText(now);
  }, [now]);
  const bad = draft !== undefined && "text" in draft;
  const id = `${record.id} raw`;
  return (
    <div class={`field ${bad ? "wrong" : ""}`}>
      <label for={id} class="unseen">{t("rawJson")}</label>
      <textarea
        id={id}
        rows={14}
        spellcheck={false}
        value={text}
        aria-invalid={bad}
        aria-describedby={`${id} help`}
        onInput={({ currentTarget: { value } }) => {
          setText(value);
          put(draftOf(record.data, value));
        }}
      />
      <span id={`${id} help`} class={bad ? "error" : "quiet"}>{bad ? t("notJson") : t("rawJsonHelp")}</span>
    </div>
  );
}

function LineText({ record, draft, put }: Part): JSX.Element {
  const id = `${record.id} text`;
  return (
    <div class="field">
      <label for={id}>{t("lineText")}</label>
      <textarea
        id={id}
        rows={3}
        spellcheck={false}
        value={textOf(record.data, draft)}
        aria-describedby={`${id} help`}
        onInput={({ currentTarget }) => put(draftOf(record.data, currentTarget.value))}
      />
      <span id={`${id} help`} class="quiet">{editable(record.data) === "" ? t("lineHidden") : ""}</span>
    </div>
  );
}

/** How the record stands: by the last check, or by what can be told here. */
function Standing({ record, draft, verdict }: {
  record: InvalidRecord;
  draft: Draft | undefined;
  verdict: Verdict | undefined;
}): JSX.Element | null {
  if (draft === undefined) return null;
  const look = preview(record.data, draft);
  if ("unusable" in look) {
    const reason = "text" in draft && !isLine(record.data) ? t("notJson") : complaint(look.unusable);
    return <p class="error" role="status">{t("unusable", { reason })}</p>;
  }
  // a rule about a masked field can only be judged where the value is known
  const problems = verdict?.problems ??
    look.problems.filter(({ field }) => field === "" || valueAt(record.data, field) !== MASK)
      .map(({ message }) => message);
  return problems.length === 0
    ? <p class="ok" role="status">{verdict ? "✓ " : ""}{t("willBeValid")}</p>
    : <p class="error" role="status">{t("stillInvalid")}: {complaint(problems.join("; "))}</p>;
}
