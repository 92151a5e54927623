/// <reference lib="dom" />
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "./i18n.ts";
import { notice, question, type Reading, tell } from "./state.ts";
import type { Key } from "./texts.ts";

export function Page({ title, aside, children }: {
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  useEffect(() => {
    document.title = `${title} · ${t("title")}`;
  }, [title]);
  return (
    <main id="content" tabIndex={-1}>
      <div class="head">
        <h1>{title}</h1>
        {aside}
      </div>
      {children}
    </main>
  );
}

export function Panel({ title, aside, children, kind = "" }: {
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
  kind?: string;
}): JSX.Element {
  return (
    <section class={`panel ${kind}`} aria-label={title}>
      <div class="panel-head">
        <h2>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** The data; until it has arrived, a note that it is being read, or the error. */
export function Read<Data>({ reading, children }: {
  reading: Reading<Data>;
  children: (data: Data) => ComponentChildren;
}): JSX.Element {
  const { data, error, refresh } = reading;
  if (data !== undefined) return <>{children(data)}</>;
  if (error === undefined) return <p class="quiet loading" role="status">{t("loading")}</p>;
  return (
    <div class="note bad" role="alert">
      <strong>{t("failedToLoad")}</strong>
      <span>{error}</span>
      <button type="button" onClick={refresh}>{t("tryAgain")}</button>
    </div>
  );
}

/** Maximum number of rows that the API returns at once. */
const MOST = 500;

/** How many rows of a list to read, and the button that requests more if there are any. */
export function useGrowing(start: number): {
  first: number;
  more: (page: { hasNextPage: boolean }) => ComponentChildren;
} {
  const [first, setFirst] = useState(start);
  const more = ({ hasNextPage }: { hasNextPage: boolean }) =>
    hasNextPage && first < MOST && (
      <button type="button" onClick={() => setFirst(Math.min(MOST, first * 2))}>{t("more")}</button>
    );
  return { first, more };
}

interface PageOf<Node> {
  readonly nodes: readonly Node[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

/**
 * The rows that `read` returned after a first page, and the button that requests more if there are any. When `version`
 * changes, they are read again.
 */
export function useLater<Node>(
  first: PageOf<Node> | undefined,
  read: (after: string | null) => Promise<PageOf<Node>>,
  version = "",
): { later: readonly Node[]; more: ComponentChildren } {
  const [last, setLast] = useState<PageOf<Node> | undefined>();
  useEffect(() => setLast(undefined), [first?.pageInfo.endCursor]);
  const page = (last ?? first)?.pageInfo;
  /** Reads pages after the rows `known`, until there are `count` rows. */
  const readTo = async (count: number, known: readonly Node[], after: string | null) => {
    try {
      let [nodes, next] = [known, await read(after)];
      while ((nodes = [...nodes, ...next.nodes]).length < count && next.pageInfo.hasNextPage) {
        next = await read(next.pageInfo.endCursor);
      }
      setLast({ ...next, nodes });
    } catch (error) {
      tell(error);
    }
  };
  const readMore = () => readTo(0, last?.nodes ?? [], page!.endCursor);
  useEffect(() => {
    if (last !== undefined) void readTo(last.nodes.length, [], first!.pageInfo.endCursor);
  }, [version]);
  return {
    later: last?.nodes ?? [],
    more: page?.hasNextPage && <button type="button" onClick={readMore}>{t("more")}</button>,
  };
}

export function Empty({ title, text, children }: {
  title: string;
  text?: string;
  children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {text && <span>{text}</span>}
      {children}
    </div>
  );
}

const TONES: Record<string, string> = {
  COMPLETED: "good",
  DELIVERED: "good",
  FAILED: "bad",
  HELD: "warn",
  DELIVERY_PENDING: "warn",
  PENDING: "warn",
  NOT_CONFIGURED: "quiet",
  REQUESTED: "quiet",
  WAITING: "warn",
  SENT: "good",
  idle: "good",
  working: "busy",
  paused: "warn",
  stopping: "warn",
  stopped: "quiet",
  silent: "bad",
  absent: "quiet",
};

export function Badge(
  { of, state }: { of: "status" | "delivery" | "state" | "notification"; state: string },
): JSX.Element {
  return <span class={`badge ${TONES[state] ?? "busy"}`}>{t(`${of}.${state}` as Key)}</span>;
}

/** Scrolls sideways if it is too wide. `heads` name its columns; numbers are aligned to the right. */
export function Table({ label, heads, children }: {
  label: string;
  heads: readonly (string | { readonly number: string } | { readonly hidden: string })[];
  children: ComponentChildren;
}): JSX.Element {
  return (
    <div class="scroll" role="group" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {heads.map((head, place) => (
              <th key={place} scope="col" class={typeof head === "object" && "number" in head ? "num" : ""}>
                {typeof head === "string"
                  ? head
                  : "number" in head
                  ? head.number
                  : <span class="unseen">{head.hidden}</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** A progress bar; indeterminate without a total. */
export function Progress({ label, value, total }: {
  label: string;
  value: number;
  total: number | null;
}): JSX.Element {
  return total === null
    ? <progress aria-label={label} />
    : <progress aria-label={label} value={value} max={Math.max(total, 1)} />;
}

/** The last notification; screen readers read it out, and it stays until it is closed or replaced. */
export function Notices(): JSX.Element {
  const shown = notice.value;
  return (
    <div class="notices" role="status" aria-live="polite">
      {shown && (
        <div class={`note ${shown.bad ? "bad" : "good"}`}>
          <span>{shown.text}</span>
          {shown.href && <a href={shown.href}>{t("run")}</a>}
          <button
            type="button"
            class="plain"
            aria-label={t("close")}
            onClick={() => notice.value = undefined}
          >
            ×
          </button>
        </div>
      )}
    </div>
  );
}

export function Ask(): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = question.value;
  useEffect(() => {
    if (open === undefined) dialog.current?.close();
    else dialog.current?.showModal();
  }, [open]);
  return (
    <dialog ref={dialog} aria-labelledby="question" onCancel={() => question.value?.answer(false)}>
      {open && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            open.answer(true);
          }}
        >
          <h2 id="question">{open.title}</h2>
          <p>{open.text}</p>
          <div class="buttons end">
            <button type="button" onClick={() => open.answer(false)}>{t("cancel")}</button>
            <button type="submit" class={open.grave ? "grave" : "main"}>{t(open.action)}</button>
          </div>
        </form>
      )}
    </dialog>
  );
}

/** `code` shows the value in a monospaced font. */
export function Fact({ name, code = false, children }: {
  name: string;
  code?: boolean;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{code ? <span class="code">{children}</span> : children}</dd>
    </div>
  );
}

export function RunFact(
  { name, run }: { name: Key; run: { id: string; runId: string } | null },
): JSX.Element {
  return <Fact name={t(name)}>{run === null ? "–" : <a href={`/runs/${run.runId}`}>{run.id}</a>}</Fact>;
}
