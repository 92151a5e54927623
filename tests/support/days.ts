/**
 * Loads one run a day into a store, as fast as it can.
 *
 * @module
 */
import { Users } from "../../local/source/users.ts";
import type { Trimmed } from "../../shared/store/rows.ts";
import type { SqliteStore } from "../../shared/store/sqlite/open.ts";
import { linesOf } from "./store.ts";

const DAY_MS = 24 * 3600 * 1000;

/** What changes from day to day. */
export interface Days {
  readonly users: number;
  /** Share of the users whose records change each day; each day other users. */
  readonly changed: number;
  /** Share of the users whose records are invalid. */
  readonly bad?: number | undefined;
  /** Number of days after which records are removed. */
  readonly keepDays: number;
}

/** Returns the time of day `day`, starting at 1. */
export function timeOfDay(day: number): string {
  return new Date(Date.UTC(2025, 0, 1, 3) + (day - 1) * DAY_MS).toISOString();
}

/** Returns the id of a day's run. */
export function runOfDay(day: number): string {
  const time = Date.parse(timeOfDay(day)).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(day).padStart(12, "0")}`;
}

export class Calendar {
  readonly #raw: string[];
  readonly #bad: boolean[];

  /** Starts on the day before the first one. */
  constructor(private readonly store: SqliteStore, private readonly days: Days) {
    const all = new Users(0, 1);
    this.#raw = Array.from({ length: days.users }, (_, n) => all.json(n));
    this.#bad = this.#raw.map((_, n) => n % 1000 < (days.bad ?? 0) * 1000);
  }

  /** Loads and completes the run of a day, and removes what is too old by then. */
  async day(day: number): Promise<Trimmed> {
    const { store, days: { users, changed, keepDays } } = this;
    const each = Math.round(1 / changed);
    if (day > 1) {
      for (let n = (day * 7) % each; n < users; n += each) {
        this.#raw[n] = this.#raw[n]!.replace(/"weight":[\d.]+/, `"weight":${50 + day / 10}`);
      }
    }
    const run = { runId: runOfDay(day), pipeline: "users", at: timeOfDay(day) };
    await store.announceRun(run);
    const texts = {
      raw: this.#raw,
      processed: this.#raw.filter((_, n) => !this.#bad[n]).map((text) =>
        `${text.slice(0, -1)},"department_code":"ENG"}`
      ),
      invalid: this.#raw.filter((_, n) => this.#bad[n]).map((text) =>
        `${text.slice(0, -1)},"error_reason":"age: missing"}`
      ),
    };
    for (const kind of ["raw", "processed", "invalid"] as const) {
      const name = `data/${kind}_users/${day}.jsonl`;
      await store.loadFile({ runId: run.runId, pipeline: "users", kind, name }, linesOf(texts[kind], 1000));
    }
    await store.markLoaded({
      ...run,
      rawFile: "data/a",
      processedFile: "data/b",
      dlqFile: "data/c",
      validCount: texts.processed.length,
      invalidCount: texts.invalid.length,
      fields: ["id"],
      completeness: { announced: null, received: texts.raw.length, missing: 0, repeated: 0 },
    });
    await store.write((db) => {
      db.run(
        "UPDATE etl_runs SET loaded_at = ?2, status = 'COMPLETED', status_at = ?2 WHERE run_id = ?1",
        run.runId,
        run.at,
      );
      db.run("UPDATE run_files SET loaded_at = ?2 WHERE run_id = ?1", run.runId, run.at);
      for (let n = 0; n < 12; n++) {
        db.run(
          "INSERT INTO run_events (id, run_id, at, actor, type, body) VALUES (?, ?, ?, 'saver', 'phase_started', ?)",
          `${run.runId}/${n}`,
          run.runId,
          run.at,
          JSON.stringify({ id: `${run.runId}/${n}`, text: "x".repeat(300) }),
        );
      }
    });
    const before = new Date(Date.parse(run.at) - keepDays * DAY_MS).toISOString();
    const trimmed = await store.trim(before);
    await store.tidy();
    return trimmed;
  }
}
