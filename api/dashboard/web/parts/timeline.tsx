import type { JSX } from "preact";
import type { JsonObject } from "../../../../shared/pipeline/problems.ts";
import type { Event, Run } from "../../../client/operations.ts";
import { clock, duration, number, t } from "../i18n.ts";
import { now } from "../state.ts";
import { Table } from "../ui.tsx";

export function Phases({ run: { phases } }: { run: Run }): JSX.Element {
  const [first] = phases;
  if (first === undefined) return <p class="quiet">–</p>;
  const begin = Date.parse(first.startedAt);
  const endOf = (finishedAt: string | null) => finishedAt === null ? now.value : Date.parse(finishedAt);
  const span = Math.max(1, ...phases.map(({ finishedAt }) => endOf(finishedAt) - begin));
  const percent = (ms: number) => `${Math.min(100, Math.max(0, ms / span * 100))}%`;
  const heads = [
    t("phase"),
    t("duration"),
    { hidden: t("phases") },
    { number: t("records") },
    { number: t("speed") },
    { number: t("attempts") },
  ];
  return (
    <Table label={t("phases")} heads={heads}>
      {phases.map((phase) => {
        const ms = endOf(phase.finishedAt) - Date.parse(phase.startedAt);
        return (
          <tr key={phase.phase}>
            <th scope="row">{t(`status.${phase.phase}`)}</th>
            <td class="nowrap numbers">{duration(phase.durationMs ?? ms)}</td>
            <td class="lane">
              <span
                class={`span ${phase.finishedAt === null ? "busy" : ""}`}
                style={{ marginLeft: percent(Date.parse(phase.startedAt) - begin), width: percent(ms) }}
              />
            </td>
            <td class="num">{number(phase.records)}</td>
            <td class="num">{number(phase.recordsPerSecond)}</td>
            <td class="num">{number(phase.attempts)}</td>
          </tr>
        );
      })}
    </Table>
  );
}

export function Events({ run: { events } }: { run: Run }): JSX.Element {
  return (
    <ol class="events">
      {events.map((event) => (
        <li key={event.id} class={toneOf(event)}>
          <time dateTime={event.at} class="quiet numbers">{clock(event.at)}</time>
          <span>
            <strong>{event.type.replaceAll("_", " ")}</strong>
            {event.phase && ` · ${t(`status.${event.phase}`)}`}
            {event.attempt !== null && event.attempt > 1 && ` · ${t("attempts")} ${event.attempt}`}
            <span class="quiet">{` · ${event.actor}`}</span>
            {event.requestedBy && <span class="quiet">{` · ${event.requestedBy}`}</span>}
            {event.reason && <p>{event.reason}</p>}
            {event.detail && <p class="code quiet">{shortly(event.detail)}</p>}
          </span>
        </li>
      ))}
    </ol>
  );
}

function toneOf({ type }: Event): string {
  if (type === "run_failed" || type === "run_cancelled" || type === "run_rejected") return "bad";
  if (type === "phase_retrying" || type === "run_superseded" || type === "run_held") return "warn";
  return type === "phase_completed" ? "good" : "";
}

/** Details that are texts. */
const WORDS = ["state", "began_again"];

/** Counts and texts; names and hashes of files are elsewhere on the page. */
function shortly(detail: JsonObject): string {
  return Object.entries(detail).filter(([name, value]) => typeof value === "number" || WORDS.includes(name))
    .map(([name, value]) =>
      `${name.replaceAll("_", " ")} ${typeof value === "number" ? number(value) : value}`
    )
    .join(" · ");
}
