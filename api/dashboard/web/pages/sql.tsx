/// <reference lib="dom" />
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { parseExact } from "../../../../shared/pipeline/exact_json.ts";
import { csvOf } from "../csv.ts";
import { t } from "../i18n.ts";
import { address, go } from "../router.ts";
import { type Pipeline, PIPELINES } from "../../../client/operations.ts";
import { chosen, signedOut, useReading } from "../state.ts";
import { Page, Table } from "../ui.tsx";
import { shown } from "../values.ts";

function firstQuery({ name, added }: Pick<Pipeline, "name" | "added">): string {
  const [column] = added;
  if (column === undefined) return `SELECT *\nFROM processed_${name}\nLIMIT 20`;
  return `SELECT ${column}, count(*) AS records\nFROM processed_${name}\nGROUP BY ${column}\nORDER BY records DESC`;
}

type Answer =
  | { readonly error: string }
  | {
    readonly columns: readonly string[];
    readonly rows: readonly Readonly<Record<string, unknown>>[];
    readonly truncated?: true;
    readonly ms: number;
  };

/** A query in the address runs when the page is opened. */
export function SqlPage(): JSX.Element {
  const requested = address.value.searchParams.get("query");
  const pipelines = useReading(PIPELINES).data?.pipelines ?? [];
  const example = pipelines.find(({ name }) => name === chosen.value) ??
    pipelines.find(({ runs }) => runs > 0) ??
    pipelines[0];
  const [typed, setQuery] = useState<string | undefined>(requested ?? undefined);
  const query = typed ?? (example === undefined ? "" : firstQuery(example));
  const [answer, setAnswer] = useState<Answer | undefined>();
  const [busy, setBusy] = useState(false);
  const [runs, setRuns] = useState(0);

  useEffect(() => {
    if (requested === null) return;
    setQuery(requested);
    const gone = new AbortController();
    setBusy(true);
    run(requested, gone.signal).then(setAnswer, (error) => setAnswer({ error: String(error) }))
      .finally(() => !gone.signal.aborted && setBusy(false));
    return () => gone.abort();
  }, [requested, runs]);

  const start = (event?: Event) => {
    event?.preventDefault();
    if (query !== requested) go(`/sql?query=${encodeURIComponent(query)}`);
    setRuns((count) => count + 1);
  };
  return (
    <Page title={t("sqlTitle")}>
      <p class="quiet">
        {t("sqlText", { tables: ["etl_runs", ...pipelines.flatMap(({ tables }) => tables)].join(", ") })}
      </p>
      <form class="panel" onSubmit={start}>
        <label class="field">
          <span>{t("query")}</span>
          <textarea
            rows={6}
            spellcheck={false}
            required
            value={query}
            onInput={({ currentTarget }) => setQuery(currentTarget.value)}
            onKeyDown={(event) => (event.ctrlKey || event.metaKey) && event.key === "Enter" && start(event)}
          />
        </label>
        <div class="panel-head">
          <span class="quiet">{t("sqlHint")}</span>
          <button type="submit" class="main">{t("runQuery")}</button>
        </div>
      </form>
      <div role="status" aria-busy={busy}>{busy && <p class="quiet loading">{t("loading")}</p>}</div>
      {answer && !busy && <Shown answer={answer} />}
    </Page>
  );
}

async function run(query: string, signal: AbortSignal): Promise<Answer> {
  const started = performance.now();
  const response = await fetch("/query_sql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query }),
    signal,
  });
  if (response.status === 401) signedOut.value = true;
  const answer = parseExact(await response.text()) as Answer & { detail?: unknown };
  if (response.ok) return { ...answer, ms: Math.round(performance.now() - started) } as Answer;
  return { error: typeof answer.detail === "string" ? answer.detail : JSON.stringify(answer.detail) };
}

function Shown({ answer }: { answer: Answer }): JSX.Element {
  if ("error" in answer) return <div class="note bad" role="alert">{answer.error}</div>;
  const { columns, rows, truncated, ms } = answer;
  const numeric = new Set(columns.filter((column) => rows.every((row) => typeof row[column] !== "string")));
  return (
    <section class="panel" aria-label={t("records")}>
      <div class="panel-head">
        <span role="status">{t("rows", { n: rows.length, ms })}</span>
        <button type="button" onClick={() => download(csvOf(columns, rows))}>{t("csv")}</button>
      </div>
      {truncated && <p class="note warn">{t("truncated")}</p>}
      <Table
        label={t("records")}
        heads={columns.map((column) => numeric.has(column) ? { number: column } : column)}
      >
        {rows.map((row, place) => (
          <tr key={place}>
            {columns.map((column) => (
              <td key={column} class={numeric.has(column) ? "num" : ""}>
                {row[column] === null ? "NULL" : shown(row[column])}
              </td>
            ))}
          </tr>
        ))}
      </Table>
    </section>
  );
}

function download(csv: string): void {
  const url = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "query.csv";
  link.click();
  URL.revokeObjectURL(url);
}
