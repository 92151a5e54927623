import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { INVALID_RECORDS, type Run } from "../../../client/operations.ts";
import { complaint, number, t } from "../i18n.ts";
import { useReading } from "../state.ts";
import { Read } from "../ui.tsx";

const EXAMPLES = 3;

/** The reasons; the most frequent one is expanded. */
export function Reasons({ run: { runId, reasons } }: { run: Run }): JSX.Element {
  const most = Math.max(...reasons.map(({ count }) => count));
  return (
    <ul class="reasons">
      {reasons.toSorted((a, b) => b.count - a.count).map(({ reason, count }, place) => (
        <li key={reason}>
          <Reason runId={runId} reason={reason} count={count} most={most} first={place === 0} />
        </li>
      ))}
    </ul>
  );
}

function Reason({ runId, reason, count, most, first }: {
  runId: string;
  reason: string;
  count: number;
  most: number;
  first: boolean;
}): JSX.Element {
  const [open, setOpen] = useState(first);
  return (
    <details open={open} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>
        <span>{complaint(reason)}</span>
        <meter min={0} max={most} value={count} aria-label={complaint(reason)} />
        <span class="num">{number(count)}</span>
      </summary>
      {open && <Examples runId={runId} reason={reason} />}
    </details>
  );
}

function Examples({ runId, reason }: { runId: string; reason: string }): JSX.Element {
  const reading = useReading(INVALID_RECORDS, { runId, reason, first: EXAMPLES });
  return (
    <div class="examples">
      <Read reading={reading}>
        {({ invalidRecords: { nodes } }) => (
          <ul>
            {nodes.map(({ id, line, errorReason }) => (
              <li key={id}>
                <span class="quiet">{t("line", { n: line })}</span> {complaint(errorReason ?? "")}
              </li>
            ))}
          </ul>
        )}
      </Read>
      <a href={`/runs/${runId}/invalid?reason=${encodeURIComponent(reason)}`}>{t("repair")}</a>
    </div>
  );
}
