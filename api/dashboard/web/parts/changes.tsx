import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Change, type ChangeKind, CHANGES, type Run } from "../../../client/operations.ts";
import { number, t, time } from "../i18n.ts";
import { useReading } from "../state.ts";
import { Read, Table, useGrowing } from "../ui.tsx";
import { shown } from "../values.ts";

const PAGE = 20;

const KINDS = ["ADDED", "CHANGED", "REMOVED", "RESTORED"] as const;

export function recordHref(pipeline: string, key: string): string {
  return `/record?${new URLSearchParams({ pipeline, key })}`;
}

/** Each number opens its list. */
export function RunChanges({ run, counts }: { run: Run; counts: NonNullable<Run["changes"]> }): JSX.Element {
  const [open, setOpen] = useState<ChangeKind | undefined>(undefined);
  const of = {
    ADDED: counts.added,
    CHANGED: counts.changed,
    REMOVED: counts.removed,
    RESTORED: counts.restored,
  };
  const kinds = KINDS.filter((kind) => of[kind] > 0);
  if (kinds.length === 0) return <p class="quiet">{t("noChanges")}</p>;
  return (
    <>
      <div class="buttons">
        {kinds.map((kind) => (
          <button
            key={kind}
            type="button"
            aria-pressed={open === kind}
            onClick={() => setOpen(open === kind ? undefined : kind)}
          >
            {t(`changes.${kind}`, { n: number(of[kind]) })}
          </button>
        ))}
      </div>
      {open && <ChangesOf key={open} run={run} kind={open} />}
    </>
  );
}

function ChangesOf({ run, kind }: { run: Run; kind: ChangeKind }): JSX.Element {
  const { first, more } = useGrowing(PAGE);
  const reading = useReading(CHANGES, { runId: run.runId, change: kind, first });
  return (
    <Read reading={reading}>
      {({ changes: { nodes, pageInfo } }) => (
        <>
          <ul class="records">
            {nodes.map((change) => (
              <li key={change.key}>
                <h3>
                  <a
                    href={recordHref(run.pipeline, change.key)}
                    aria-label={t("openRecord", { key: change.key })}
                  >
                    {change.key}
                  </a>
                </h3>
                {kind === "CHANGED" ? <Differences change={change} /> : (
                  <details>
                    <summary>{t("fields")}</summary>
                    <Differences change={change} />
                  </details>
                )}
              </li>
            ))}
          </ul>
          {more(pageInfo)}
        </>
      )}
    </Read>
  );
}

export function Differences({ change: { key, change, at, differences } }: { change: Change }): JSX.Element {
  if (differences === null) return <p class="quiet">{t("noLongerKept")}</p>;
  return (
    <Table
      label={`${key} ${t(`change.${change}`)} ${time(at)}`}
      heads={[t("field"), t("before"), t("after")]}
    >
      {differences.map(({ field, before, after }) => (
        <tr key={field}>
          <th scope="row" class="code">{field}</th>
          <td class="long">{before === null ? "–" : shown(before)}</td>
          <td class="long">{after === null ? "–" : shown(after)}</td>
        </tr>
      ))}
    </Table>
  );
}
