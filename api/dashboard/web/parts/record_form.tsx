/** One invalid record: a form made from the rules, its JSON for the other fields, or its text if it isn't JSON. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { MASK } from "../../../../shared/pipeline/merge_patch.ts";
import type { InvalidRecord, Rule, RunLine, Verdict } from "../../../client/operations.ts";
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
import { entryOf } from "../rules.ts";
import { type Entry, inputType, shown, typed } from "../values.ts";

export function RecordForm({ record, rules, shelf, corrections, verdict, forget }: {
  record: InvalidRecord;
  rules: Rules;
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
        : <Fields record={record} draft={draft} put={put} rules={rules} verdict={verdict} />}
      <Standing record={record} draft={draft} verdict={verdict} />
    </article>
  );
}

export interface Rules {
  readonly fields: readonly Rule[];
  /** A JSON Schema. */
  readonly schema: unknown;
}

interface Part {
  readonly record: InvalidRecord;
  readonly draft: Draft | undefined;
  readonly put: (draft: Draft | undefined) => void;
}

function Fields({ record, draft, put, rules, verdict }: Part & {
  rules: Rules;
  verdict: Verdict | undefined;
}): JSX.Element {
  const look = preview(record.data, draft);
  const current = "record" in look ? look.record : undefined;
  return (
    <>
      <div class="form">
        {rules.fields.map((rule) => (
          <Field
            key={rule.field}
            id={`${record.id} ${rule.field}`}
            field={rule.field}
            entry={entryOf(rule, rules.schema)}
            value={valueAt(current ?? record.data, rule.field)}
            hidden={valueAt(record.data, rule.field) === MASK}
            locked={current === undefined}
            problem={verdict?.problems.find((problem) => problem.startsWith(`${rule.field}: `))?.slice(
              rule.field.length + 2,
            )}
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

function Field({ id, field, entry, value, hidden, locked, problem, onValue }: {
  id: string;
  field: string;
  entry: Entry;
  value: unknown;
  hidden: boolean;
  locked: boolean;
  /** The problem with it, without the field's name. */
  problem: string | undefined;
  onValue: (value: unknown) => void;
}): JSX.Element {
  const wrong = problem !== undefined && !hidden;
  const common = {
    id,
    disabled: hidden || locked,
    "aria-invalid": wrong,
    "aria-describedby": `${id} help`,
  };
  return (
    <div class={`field ${wrong ? "wrong" : ""}`}>
      <label for={id}>{field}</label>
      <Value {...common} entry={entry} value={value} onValue={onValue} />
      <span id={`${id} help`} class={wrong ? "error" : "quiet"}>
        {hidden
          ? t("masked")
          : wrong
          ? `${complaint(problem)} · ${t("wanted")}: ${entry.wanted}`
          : entry.wanted}
      </span>
    </div>
  );
}

export function Value({ entry, value, onValue, ...common }: {
  entry: Entry;
  value: unknown;
  onValue: (value: unknown) => void;
  id?: string;
  disabled?: boolean;
  required?: boolean;
  "aria-invalid"?: boolean;
  "aria-describedby"?: string;
}): JSX.Element {
  if (entry.input === "choice") {
    return (
      <select
        {...common}
        value={shown(value)}
        onChange={({ currentTarget }) => onValue(typed(currentTarget.value, entry))}
      >
        {!entry.choices.some((choice) => shown(choice) === shown(value)) && (
          <option value={shown(value)}>{shown(value)}</option>
        )}
        {entry.choices.map((choice) => <option key={shown(choice)}>{shown(choice)}</option>)}
      </select>
    );
  }
  return (
    <input
      {...common}
      type={inputType(entry, value)}
      inputMode={entry.input === "number" ? "decimal" : undefined}
      autocomplete="off"
      spellcheck={false}
      value={shown(value)}
      onInput={({ currentTarget }) => onValue(typed(currentTarget.value, entry))}
    />
  );
}

function RawJson({ record, draft, put }: Part): JSX.Element {
  const now = textOf(record.data, draft);
  const [text, setText] = useState(now);
  // typed text is kept as it is; changes from elsewhere are shown
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
  if (verdict === undefined) return <p class="quiet" role="status">{t("checking")}</p>;
  return verdict.problems.length === 0
    ? <p class="ok" role="status">{t("willBeValid")}</p>
    : <p class="error" role="status">{t("stillInvalid")}: {complaint(verdict.problems.join("; "))}</p>;
}
