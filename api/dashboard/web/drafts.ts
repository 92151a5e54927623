/// <reference lib="dom" />
/** What was typed and not replayed yet. It survives a reload, and is kept in this browser only, as changes instead of whole records. */
import { type ReadonlySignal, signal } from "@preact/signals";
import type { Draft } from "../../client/repair.ts";

/** Drafts by the id of their record. */
type Drafts = Readonly<Record<string, Draft>>;

export interface Shelf {
  readonly all: ReadonlySignal<Drafts>;
  /** Sets drafts; undefined discards one. */
  put(changes: Readonly<Record<string, Draft | undefined>>): void;
}

const shelves = new Map<string, Shelf>();

export function shelfOf(runId: string): Shelf {
  const known = shelves.get(runId) ?? open(`drafts of ${runId}`);
  shelves.set(runId, known);
  return known;
}

function open(name: string): Shelf {
  const all = signal(read(name));
  // share the drafts of other tabs
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
