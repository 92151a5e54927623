/** What the extractor remembers beyond its own end: the progress of the unfinished run, and the outputs of finished ones. */
import { getLogger } from "@logtape/logtape";
import { z } from "zod";
import { Detail, Moment, RunId, Sha256, SinceRange, Timestamp } from "../shared/contracts/messages.ts";
import { type Documents, parsedAs } from "../shared/files/documents.ts";

const Count = z.int().nonnegative();

/** A run that was begun and hasn't ended. Written after each page, once the page's records are safely in the file. */
const Unfinished = z.object({
  run_id: RunId,
  /** The last message that asked for it, where that has an id. */
  message_id: z.string().optional(),
  source: z.string(),
  raw_file: z.string(),
  /** How the source divides its list; a checkpoint of an earlier version has none, and its source is one of offsets. */
  paging: z.string().optional(),
  /** The next page's position, as its paging writes it; a checkpoint of an earlier version has `last_skip` only. */
  position: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
  /** Records received so far, repeated ones included. */
  last_skip: Count,
  /** Length of the file up to there; what follows in the file is cut off on resume. */
  bytes: Count,
  /** SHA-256 of the file up to there; a checkpoint of an earlier version has none. */
  sha256: Sha256.optional(),
  records: Count,
  /** Records that were left out because an earlier page had their id. */
  duplicates: Count,
  pages: Count,
  /** How many pages in a row added how many records each; unknown where sizes vary much, or in an earlier version. */
  page_sizes: z.array(z.tuple([Count, Count])).optional(),
  /** The source's total on the first page; null before it, and where the source announces none. */
  first_total: Count.nullable(),
  /** The source's total on the last page; null before the first, and where the source announces none. */
  total: Count.nullable(),
  /** The greatest total that the source announced; a checkpoint of an earlier version has none. */
  most_total: Count.nullable().optional(),
  /** How many pages the source announced last, where it does. */
  total_pages: Count.optional(),
  latest: Moment.optional(),
  /** A record came a second time, changed: later values count for nothing, so that the next run asks for that change. */
  is_latest_final: z.boolean().optional(),
  /** What the run asks for changes since, and up to when in windows; the same for the whole run. */
  since: z.object({ from: Moment, now: z.number(), of: z.string().default(""), rewinds: Count.default(0) })
    .optional(),
  ended: z.boolean().optional(),
  /** What the last page held, where records have no key: nothing else tells two pages apart. */
  last_page: Sha256.optional(),
  /** What the definition asked for; a checkpoint of an earlier version has none. */
  asks: z.string().optional(),
  /** Why the source is read from its beginning again instead of resuming a run. */
  began_again: z.string().optional(),
  started_at: Timestamp,
  /** When the run was last worked on: later reports about it carry a later time. */
  seen_at: Timestamp.optional(),
});
export type Unfinished = z.output<typeof Unfinished>;

/** A run whose file is complete. */
export const Finished = z.object({
  run_id: RunId,
  /** The message that asked for it; only a repeat of that message gets the run's outputs again. */
  message_id: z.string(),
  raw_file: z.string(),
  record_count: Count,
  raw_sha256: Sha256,
  source: z.string(),
  finished_at: Timestamp.optional(),
  /** The range of changes that it asked for. */
  since: SinceRange.optional(),
  /** In a correction run: the lines that it corrects, of the dead-letter file of `detail.correction_of`. */
  corrects: z.array(z.int().positive()).optional(),
  detail: Detail,
});
export type Finished = z.output<typeof Finished>;

const State = z.object({
  version: z.literal(1),
  current: Unfinished.nullable(),
  /** The file name given to the last correction run, so that a repeat writes the same file. */
  correcting: z.object({ run_id: RunId, raw_file: z.string() }).nullable(),
  completed: z.array(Finished),
});
type State = z.output<typeof State>;

/** Finished runs to remember. */
const REMEMBERED = 100;

const log = getLogger(["etl", "extractor", "checkpoint"]);

/** Where a run begins, and begins again if its `.part` file is unusable. */
export const AT_START = {
  position: undefined,
  last_skip: 0,
  bytes: 0,
  sha256: undefined,
  records: 0,
  duplicates: 0,
  pages: 0,
  page_sizes: [],
  first_total: null,
  total: null,
  most_total: undefined,
  total_pages: undefined,
  latest: undefined,
  is_latest_final: undefined,
  ended: undefined,
  last_page: undefined,
} satisfies Partial<Unfinished>;

/** The state of a pipeline, read once and written whole at each change. Only one process may change it at a time. */
export class Checkpoint {
  private constructor(
    private readonly documents: Documents,
    private readonly name: string,
    private state: State,
    /** The content of a file that can't be used: saved under another name before the file is written. */
    private aside?: { name: string; text: string; warn: () => void },
  ) {}

  /**
   * Reads the document `name`; a missing one is that of an extractor that never ran. An unreadable one, and the unfinished run of another
   * source or another paging, are ignored, and set aside with a warning at the first change.
   *
   * @throws as `Documents.read`.
   */
  static async open(
    documents: Documents,
    name: string,
    source: string,
    { paging = "offset", now = Date.now() }: { paging?: string; now?: number } = {},
  ): Promise<Checkpoint> {
    const nothing: State = { version: 1, current: null, correcting: null, completed: [] };
    const text = await documents.read(name);
    if (text === undefined) return new Checkpoint(documents, name, nothing);
    const state = parsedAs(State, text);
    if (state === undefined) {
      const aside = `${name}.corrupt-${fileTime(now)}`;
      const warn = () =>
        log.warning(
          "the state file can't be read and was set aside; unfinished .part files stay where they are",
          { kept_as: documents.placeOf(aside) },
        );
      return new Checkpoint(documents, name, nothing, { name: aside, text, warn });
    }
    const { current } = state;
    if (current === null || (current.source === source && (current.paging ?? "offset") === paging)) {
      return new Checkpoint(documents, name, state);
    }
    const aside = `${name}.other-source-${fileTime(now)}`;
    const warn = () =>
      log.warning(
        "the unfinished run is one of another source and was set aside; its .part file stays where it is",
        {
          run_id: current.run_id,
          its_source: current.source,
          source,
          kept_as: documents.placeOf(aside),
          part_file: `${current.raw_file}.part`,
        },
      );
    return new Checkpoint(documents, name, { ...state, current: null }, { name: aside, text, warn });
  }

  get current(): Unfinished | undefined {
    return this.state.current ?? undefined;
  }

  /** Whether any remembered run has finished. */
  get hasCompleted(): boolean {
    return this.state.completed.length > 0;
  }

  get completed(): readonly Finished[] {
    return this.state.completed;
  }

  finishedBy(messageId: string): Finished | undefined {
    return this.state.completed.find((run) => run.message_id === messageId);
  }

  finished(runId: string): Finished | undefined {
    return this.state.completed.findLast((run) => run.run_id === runId);
  }

  correctionFile(runId: string): string | undefined {
    return this.state.correcting?.run_id === runId ? this.state.correcting.raw_file : undefined;
  }

  /** Whether a run has reserved the file `rawFile`, even if it doesn't exist yet. */
  reserves(rawFile: string): boolean {
    return [this.state.current, this.state.correcting].some((run) => run?.raw_file === rawFile);
  }

  /** @throws as `Documents.write`. */
  async advance(current: Unfinished): Promise<void> {
    await this.#write({ current });
  }

  /** @throws as `Documents.write`. */
  async reserve(runId: string, rawFile: string): Promise<void> {
    await this.#write({ correcting: { run_id: runId, raw_file: rawFile } });
  }

  /** @throws as `Documents.write`. */
  async complete(finished: Finished): Promise<void> {
    await this.#write({
      current: this.current?.run_id === finished.run_id ? null : this.state.current,
      completed: [...this.state.completed, finished].slice(-REMEMBERED),
    });
  }

  /** @throws as `Documents.write`. */
  async discard(): Promise<void> {
    await this.#write({ current: null });
  }

  async #write(change: Partial<State>): Promise<void> {
    if (this.aside !== undefined) {
      await this.documents.write(this.aside.name, this.aside.text);
      this.aside.warn();
      this.aside = undefined;
    }
    this.state = { ...this.state, ...change };
    await this.documents.write(this.name, JSON.stringify(this.state, null, 1));
  }
}

/** A time as it stands in file names: `YYYYMMDD_HHMMSS`, UTC. */
export function fileTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "_");
}
