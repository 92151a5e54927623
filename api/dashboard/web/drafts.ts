/// <reference lib="dom" />
/**
 * What was typed and isn't replayed yet. It outlives a reload; it is kept in this browser alone, and as what was changed, not as whole records.
 *
 * @module
 */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Draft } from "../../client/repair.ts";

/** Drafts by the id of their record. */
export type Drafts = Readonly<Record<string, Draft>>;

/** The drafts of one run. */
export interface Shelf {
  readonly all: ReadonlySignal<Drafts>;
  /** Sets some; undefined discards one. */
  put(changes: Readonly<Record<string, Draft | undefined>>): void;
}

const shelves = new Map<string, Shelf>();

/** The drafts of the run `runId`. */
export function shelfOf(runId: string): Shelf {
  const known = shelves.get(runId) ?? open(`drafts of ${runId}`);
  shelves.set(runId, known);
  return known;
}

function open(name: string): Shelf {
  const all = signal(read(name));
  // another tab's typing is this one's too
  addEventListener("storage", ({ key }) => {
    if (key === name) all.value = read(name);
  });
  return {
    all,
    put(changes) {
      const entries = Object.entries({ ...all.value, ...changes });
      all.value = Object.fromEntries(
        entries.filter((entry): entry is [string, Draft] => entry[1] !== undefined),
      );
      if (Object.keys(all.value).length === 0) localStorage.removeItem(name);
      else localStorage.setItem(name, JSON.stringify(all.value));
    },
  };
}

function read(name: string): Drafts {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "{}") as Drafts;
  } catch {
    return {};
  }
}
