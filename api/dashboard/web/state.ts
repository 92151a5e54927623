/// <reference lib="dom" />
/** The state that all pages share. */
import { type Signal, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { pause } from "../../../shared/actor/backoff.ts";
import { GraphqlClient, type Operation, Unauthorized, type Variables } from "../../client/graphql.ts";
import { STEER, type Steering } from "../../client/operations.ts";
import type { Key } from "./texts.ts";

export const api = new GraphqlClient("/graphql");

export const connected = signal(true);

export const signedOut = signal(false);

/** Counts how often the connection or the session was restored: data read before may be outdated. */
export const renewed = signal(0);

interface Notice {
  readonly bad: boolean;
  readonly text: string;
  /** The address of the run that it is about. */
  readonly href?: string | undefined;
}
export const notice = signal<Notice | undefined>(undefined);

/** The pipeline whose runs are shown; undefined shows all. */
export const chosen = signal<string | undefined>(undefined);

/** The time in milliseconds, updated each second. */
export const now = signal(Date.now());
setInterval(() => now.value = Date.now(), 1000);

export interface Reading<Data> {
  readonly data: Data | undefined;
  readonly error: string | undefined;
  readonly refresh: () => void;
}

/**
 * Reads `operation`. Reads it again when its variables or `version` change, when `refresh` is called and when the
 * connection or the session is restored.
 */
export function useReading<Data>(
  operation: Operation<Data>,
  variables: Variables = {},
  version = "",
): Reading<Data> {
  const [state, setState] = useState<{ data?: Data; error?: string }>({});
  const [count, setCount] = useState(0);
  const key = JSON.stringify(variables);
  useEffect(() => {
    const gone = new AbortController();
    api.ask<Data>(operation, variables, gone.signal).then(
      (data) => setState({ data }),
      (error) => {
        if (gone.signal.aborted) return;
        if (error instanceof Unauthorized) signedOut.value = true;
        setState((last) => ({ ...last, error: messageOf(error) }));
      },
    );
    return () => gone.abort();
  }, [operation, key, version, count, renewed.value]);
  return { data: state.data, error: state.error, refresh: () => setCount((last) => last + 1) };
}

/** Follows `operation` while the page is visible; `onUp` is called when it is connected, `onData` with each event. */
export function useFollowing<Data>(
  operation: Operation<Data>,
  { onData, onUp }: { onData: (data: Data) => void; onUp: () => void },
): void {
  const last = useLast({ onData, onUp });
  const out = signedOut.value;
  useEffect(() => {
    if (out) return;
    let gone: AbortController | undefined;
    // a browser opens six connections to one host: hidden pages must not hold them
    const follow = () => {
      gone?.abort();
      if (document.hidden) return;
      const { signal } = gone = new AbortController();
      (async () => {
        const onState = (up: boolean) => {
          if (up && !connected.value) renewed.value++;
          connected.value = up;
          if (up) last.current.onUp();
        };
        for await (const data of api.follow<Data>(operation, signal, onState)) {
          last.current.onData(data);
        }
      })().catch((error) => error instanceof Unauthorized ? signedOut.value = true : tell(error));
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      gone?.abort();
    };
  }, [operation, out]);
}

/** The value of the last rendering, for work that outlives an earlier one. */
function useLast<T>(value: T): { current: T } {
  const last = useRef(value);
  last.current = value;
  return last;
}

/** The delay of `useSoon`, in milliseconds. */
const SOON_MS = 250;

/** Calls `work` after a short delay, once for many calls in that time. */
export function useSoon(work: () => void): () => void {
  const last = useLast(work);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      last.current();
    }, SOON_MS);
  };
}

/** Calls `work` every `ms` milliseconds while the page is visible. */
export function useEvery(ms: number, work: () => void): void {
  const last = useLast(work);
  useEffect(() => {
    const gone = new AbortController();
    (async () => {
      for (;;) {
        await pause(ms, gone.signal);
        if (gone.signal.aborted) return;
        if (!document.hidden) last.current();
      }
    })();
    return () => gone.abort();
  }, [ms]);
}

/**
 * Runs the mutation, after a confirmation if `confirmation` is given, and shows the outcome: `done`, or the reason for a
 * failure.
 */
export async function steer(
  what: Steering,
  variables: Variables,
  done: string,
  confirmation?: Omit<Question, "answer">,
): Promise<void> {
  if (confirmation !== undefined && !await confirmed(confirmation)) return;
  try {
    const { outcome: { __typename, message, runId } } = await api.ask(STEER[what], variables);
    notice.value = __typename.endsWith("Success")
      ? { bad: false, text: done, href: runId && `/runs/${runId}` }
      : { bad: true, text: message ?? __typename };
  } catch (error) {
    tell(error);
  }
}

export function tell(error: unknown): void {
  if (error instanceof Unauthorized) signedOut.value = true;
  else notice.value = { bad: true, text: messageOf(error) };
}

interface Question {
  readonly title: string;
  readonly text: string;
  readonly action: Key;
  /** Whether it can't be undone. */
  readonly grave?: boolean;
  readonly answer: (yes: boolean) => void;
}
export const question: Signal<Question | undefined> = signal(undefined);

/** Asks the question; returns whether it was confirmed. */
export function confirmed(confirmation: Omit<Question, "answer">): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      ...confirmation,
      answer: (yes) => {
        question.value = undefined;
        resolve(yes);
      },
    };
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
