/**
 * The raw file of a run: begun or resumed, filled page by page, and published when it is whole.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { PermanentError } from "../shared/errors/errors.ts";
import type { Files, GrowingFile } from "../shared/files/files.ts";
import { later } from "../shared/pipeline/moments.ts";
import { AT_START, fileTime, type Unfinished } from "./checkpoint.ts";
import { ending } from "./ending.ts";
import { IdSet } from "./ids.ts";
import type { Page } from "./page.ts";
import { BeginAgain, pagesOf } from "./pages.ts";
import type { Paths } from "./paths.ts";
import { idOf } from "./records.ts";
import { since } from "./since.ts";
import type { Source } from "./source.ts";

/** A raw file that is whole. */
export interface WrittenRun {
  readonly records: number;
  /** Records that were left out, as an earlier page had their id. */
  readonly duplicates: number;
  /** Pages fetched, those before a resume included. */
  readonly pages: number;
  /** How many records the source said it has, last; how many came, where it says nothing. */
  readonly total: number;
  /** How many fewer came than that, where any are missing. */
  readonly missing?: number;
  readonly bytes: number;
  readonly sha256: string;
  /** Where the run was resumed, if it was. */
  readonly resumed_from_skip?: number;
}

const log = getLogger(["etl", "extractor", "run"]);

/**
 * Writes the raw file of `run` from where it stands. `onPage` is called as pages are in the file, and `onSafe` whenever some of them are safe
 * there, to keep how far the run is; calling this again with what that was last called with resumes there, and adds nothing twice.
 *
 * @throws as `pagesOf`, `Files.create` and the signal; PermanentError when the source gives the same page for ever; and BeginAgain when far
 * fewer records came than were announced.
 */
export async function writeRun(
  run: Unfinished,
  { source, files, signal, onSafe, onPage }: {
    source: Source;
    files: Files;
    signal: AbortSignal;
    onSafe: (run: Unfinished) => Promise<void>;
    onPage: (run: Unfinished) => void;
  },
): Promise<WrittenRun> {
  const at = { resumed_from_skip: run.last_skip };
  if (await files.exists(run.raw_file)) {
    return { ...await factsOf(run, files, signal), ...run.bytes > 0 ? at : {} };
  }
  const part = run.bytes > 0 ? await files.resume(run.raw_file, run) : undefined;
  if (run.bytes > 0 && part === undefined) {
    run = await beginAgain(run, files);
    await onSafe(run);
  }
  const resumed = part === undefined ? {} : at;
  await using file = part ?? await files.create(run.raw_file, { resumable: true });
  const seen = await idsIn(part, source.recordPaths, signal);
  const style = styleOf(source, run);
  const isWhole = run.ended ??
    (run.position === undefined && run.total !== null && run.last_skip >= run.total);
  if (!isWhole) {
    const from = {
      position: run.position ?? style.at?.(run.last_skip) ?? style.begin,
      received: run.last_skip,
      pages: run.pages,
      firstTotal: run.first_total ?? undefined,
      announced: { total: run.total ?? undefined, pages: run.total_pages },
    };
    let unkept = 0;
    let unsafe: Unfinished[] = [];
    for await (const page of pagesOf({ ...source, style }, from, signal)) {
      const { records, way } = page;
      const length = records?.length ?? 0;
      const ids = records?.ids ?? [];
      const isFresh = ids.map((id) => id === undefined || !seen.has(id));
      const fresh = isFresh.filter(Boolean).length;
      refuseRepeated(page, fresh, run, source);
      if (records !== undefined) await file.write(records.intoLines((i) => isFresh[i]!));
      for (const id of ids) if (id !== undefined) seen.add(id);
      run = {
        ...run,
        paging: style.by,
        position: way.next ?? page.position,
        last_skip: run.last_skip + length,
        records: run.records + fresh,
        duplicates: run.duplicates + length - fresh,
        pages: run.pages + 1,
        first_total: run.first_total ?? way.total ?? null,
        total: way.total ?? null,
        total_pages: way.pages,
        latest: later(run.latest, records?.latest),
        ended: way.next === undefined,
      };
      if (page.isNextHere && ++unkept < source.concurrency) continue;
      unkept = 0;
      unsafe.push(run = { ...run, bytes: file.bytes });
      const safe = await file.sync();
      const reached = unsafe.findLast(({ bytes }) => bytes === safe.bytes);
      if (reached !== undefined) {
        await onSafe({ ...reached, ...safe });
        unsafe = unsafe.slice(unsafe.indexOf(reached) + 1);
      }
      onPage(run);
      signal.throwIfAborted();
    }
  }
  const { records, duplicates, pages } = run;
  const { total = records } = { total: run.total ?? undefined };
  // windows share their edges, so what they announce counts some records twice
  const came = source.since?.window === undefined ? records : run.last_skip;
  const { missing, isComplete } = ending({ records: came, total });
  if (!isComplete) {
    throw new BeginAgain(
      `Cannot complete the run: ${source.name} announced ${total} ${source.pipeline}, and ${came} came on ${pages} pages. ` +
        `Check the definition's paging and key against the source; the next run begins at its beginning.`,
      { retryable: true },
    );
  }
  if (missing > 0) {
    log.warning("the source changed while it was read: there are fewer records than it announced", {
      records,
      total,
    });
  }
  const { bytes, sha256 } = await file.publish();
  return { records, duplicates, pages, total, ...missing > 0 ? { missing } : {}, bytes, sha256, ...resumed };
}

/** Sets aside what is left of the `.part` file, as none of it can be trusted. */
async function beginAgain(run: Unfinished, files: Files): Promise<Unfinished> {
  const part = `${run.raw_file}.part`;
  const kept = await files.setPartAside(run.raw_file, `damaged-${fileTime(Date.now())}`);
  log.warning(
    kept === undefined
      ? "the run's .part file is missing, extracting from the beginning"
      : "the run's .part file is damaged and was set aside, extracting from the beginning",
    { file: part, recorded_bytes: run.bytes, ...kept === undefined ? {} : { kept_as: kept } },
  );
  return { ...run, ...AT_START };
}

/** Asked for changes since the same moment for the whole run. */
function styleOf(source: Source, run: Unfinished): Source["style"] {
  if (source.since === undefined || run.since === undefined) return source.style;
  return since(source.style, source.since, run.since.from, run.since.now);
}

/**
 * Records that were inserted in front shift others into the next page; a page of nothing else than seen ones is explained by no less growth.
 * Windows that share their edges repeat records, too.
 */
function refuseRepeated(page: Page, fresh: number, run: Unfinished, source: Source): void {
  const held = page.records?.length ?? 0;
  const { skip, again } = page.position;
  const isAgain = skip !== undefined && again !== undefined && skip < again; // asked for again, as the total fell
  if (fresh > 0 || held === 0 || isAgain || source.since?.window !== undefined) return;
  const { total = 0 } = page.way;
  if (total - (run.first_total ?? total) >= held) return;
  const { label } = page;
  const asked = label.includes("=")
    ? label.slice(0, label.indexOf("="))
    : "what the definition's paging sends";
  throw new PermanentError(
    `Cannot continue at page ${label} of ${source.name}: its ${held} ${source.pipeline} were all on earlier pages. ` +
      `Does the source heed ${asked}? The run's state is kept at ${label}.`,
  );
}

/** The ids in a file that was cut to whole pages; none in one that is begun. */
async function idsIn(part: GrowingFile | undefined, paths: Paths, signal: AbortSignal): Promise<IdSet> {
  const seen = new IdSet();
  const encoder = new TextEncoder();
  for await (const { lines, flaws } of part?.lines(signal) ?? []) {
    lines.forEach((line, i) => {
      const id = flaws.has(i) ? undefined : idOf(encoder.encode(line), paths);
      if (id !== undefined) seen.add(id);
    });
  }
  return seen;
}

/** The facts of a file that got its name before the process died: it is whole, as none gets its name earlier. */
async function factsOf(run: Unfinished, files: Files, signal: AbortSignal): Promise<WrittenRun> {
  const { bytes, sha256 } = await files.facts(run.raw_file, signal);
  let records = 0;
  for await (const { lines } of files.lines(run.raw_file, { sha256, signal })) records += lines.length;
  const { duplicates, pages, total } = run;
  return { records, duplicates, pages, total: total ?? records, bytes, sha256 };
}
