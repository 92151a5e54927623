/** What the extractor stores across restarts: the progress of the unfinished run, and the outputs of finished ones. */
import { getLogger } from "@logtape/logtape";
import { z } from "zod";
import { Detail, Moment, RunId, Sha256, SinceRange, Timestamp } from "../shared/contracts/messages.ts";
import { type Documents, parsedAs } from "../shared/files/documents.ts";

const Count = z.int().nonnegative();

/** A run that has begun and not ended. Written after each page, once the page's records are durably in the file. */
const Unfinished = z.object({
  run_id: RunId,
  /** The last message that requested it, if that message has an id. */
  message_id: z.string().optional(),
  source: z.string(),
  raw_file: z.string(),
  /** The paging style. Checkpoints of earlier versions lack it; their sources use offsets. */
  paging: z.string().optional(),
  /** The next page's position, as its paging style writes it. Checkpoints of earlier versions have `last_skip` only. */
  position: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
  /** Records received so far, including repeated ones. */
  last_skip: Count,
  /** Length of the file up to that record; on resume, the rest of the file is cut off. */
  bytes: Count,
  /** SHA-256 of the file up to that length; missing in checkpoints of earlier versions. */
  sha256: Sha256.optional(),
  records: Count,
  /** Records that were skipped because an earlier record had their id. */
  duplicates: Count,
  /** Records that were received again in the same window of changes. */
  window_repeats: Count.optional(),
  /** The run's records, and those received, where its window of changes begins. */
  window: z.object({ records: Count, received: Count }).optional(),
  pages: Count,
  /**
   * Run-length encoded page sizes: how many consecutive pages added how many records each. Unknown if sizes vary much,
   * or in earlier versions.
   */
  page_sizes: z.array(z.tuple([Count, Count])).optional(),
  /** The source's total on the first page; null before that page, or if the source announces no total. */
  first_total: Count.nullable(),
  /** The source's total on the last page; null before the first page, or if the source announces no total. */
  total: Count.nullable(),
  /** The greatest total that the source announced; missing in checkpoints of earlier versions. */
  most_total: Count.nullable().optional(),
  /** The last number of pages that the source announced, if it does. */
  total_pages: Count.optional(),
  latest: Moment.optional(),
  /**
   * True once a record has been received again with changes. Later values are then ignored, so that the next run
   * requests that change again.
   */
  is_latest_final: z.boolean().optional(),
  /** Whether the pages were counted, so that records moved to other pages when one changed. */
  is_counted: z.boolean().optional(),
  /** The moment since which the run requests changes, and the end of its windows; constant for the whole run. */
  since: z.object({ from: Moment, now: z.number(), of: z.string().default(""), rewinds: Count.default(0) })
    .optional(),
  ended: z.boolean().optional(),
  /** Why a window's only page may not hold all of it, unless another one shows that the source names next pages. */
  full: z.string().optional(),
  /** SHA-256 of the last page, if records have no key: nothing else distinguishes two pages. */
  last_page: Sha256.optional(),
  /** Identifies what the definition requests; missing in checkpoints of earlier versions. */
  asks: z.string().optional(),
  /** Why the source is read from its beginning again instead of resuming a run. */
  began_again: z.string().optional(),
  started_at: Timestamp,
  /** When the run was last worked on; later reports about it carry a later time. */
  seen_at: Timestamp.optional(),
});
export type Unfinished = z.output<typeof Unfinished>;

/** A run whose file is complete. */
export const Finished = z.object({
  run_id: RunId,
  /** The message that requested it; only a repeat of that message publishes the run's outputs again. */
  message_id: z.string(),
  raw_file: z.string(),
  record_count: Count,
  raw_sha256: Sha256,
  source: z.string(),
  finished_at: Timestamp.optional(),
  /** The range of changes that it requested. */
  since: SinceRange.optional(),
  /** In a correction run: the line numbers that it corrects in the dead-letter file of `detail.correction_of`. */
  corrects: z.array(z.int().positive()).optional(),
  detail: Detail,
});
export type Finished = z.output<typeof Finished>;

const State = z.object({
  version: z.literal(1),
  current: Unfinished.nullable(),
  /** The file name reserved for the last correction run, so that a repeat writes the same file. */
  correcting: z.object({ run_id: RunId, raw_file: z.string() }).nullable(),
  completed: z.array(Finished),
});
type State = z.output<typeof State>;

/** Number of finished runs that the checkpoint keeps. */
const REMEMBERED = 100;

const log = getLogger(["etl", "extractor", "checkpoint"]);

/** The initial state of a run, also used if its `.part` file is unusable. */
export const AT_START = {
  position: undefined,
  last_skip: 0,
  bytes: 0,
  sha256: undefined,
  records: 0,
  duplicates: 0,
  window_repeats: undefined,
  window: undefined,
  pages: 0,
  page_sizes: [],
  first_total: null,
  total: null,
  most_total: undefined,
  total_pages: undefined,
  latest: undefined,
  is_latest_final: undefined,
  is_counted: undefined,
  ended: undefined,
  full: undefined,
  last_page: undefined,
} satisfies Partial<Unfinished>;

/**
 * The state of a pipeline. It is read once, and written completely at each change. Only one process may change it at a
 * time.
 */
export class Checkpoint {
  private constructor(
    private readonly documents: Documents,
    private readonly name: string,
    private state: State,
    /** The content of an unusable file; it is saved under another name before the file is overwritten. */
    private aside?: { name: string; text: string; warn: () => void },
  ) {}

  /**
   * Reads the document `name`; if it is missing, the checkpoint is empty. An unreadable document is ignored, and so is
   * the unfinished run of another source or paging style. Both are set aside with a warning at the first change.
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

  /** Whether a run has reserved the file `rawFile`, even if the file doesn't exist yet. */
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

/** A time as in file names: `YYYYMMDD_HHMMSS`, UTC. */
export function fileTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "_");
}
