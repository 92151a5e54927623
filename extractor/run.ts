/** Writes the raw file of a run: starts or resumes it, adds pages, and publishes it once complete. */
import { getLogger } from "@logtape/logtape";
import type { Moment } from "../shared/contracts/messages.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import type { Files, GrowingFile } from "../shared/files/files.ts";
import { isLike, later } from "../shared/pipeline/moments.ts";
import { isCounted, taken } from "./changes.ts";
import { AT_START, fileTime, type Unfinished } from "./checkpoint.ts";
import { ending } from "./ending.ts";
import { IdSet, type RecordId } from "./ids.ts";
import { MAX_KEYLESS, refuseKeyless, refuseSame, refuseSharedKeys } from "./keys.ts";
import type { Page } from "./page.ts";
import { type ReportedPages, reportedPages, withPage } from "./page_sizes.ts";
import { BeginAgain, Outdated } from "./outdated.ts";
import { pagesOf } from "./pages.ts";
import { isBeginning } from "./paging/style.ts";
import type { Paths } from "./paths.ts";
import { idOf } from "./records.ts";
import { since } from "./since.ts";
import type { Source } from "./source.ts";

interface WrittenRun extends ReportedPages {
  readonly records: number;
  /** Records that were skipped because an earlier one had their id. */
  readonly duplicates: number;
  /** Pages fetched, including those before a resume. */
  readonly pages: number;
  /** The source's last total; the number of records received if it announces none. */
  readonly total: number;
  /** The source's greatest total; null if it announces none. */
  readonly announced: number | null;
  /** Including repeated records. */
  readonly received: number;
  /** Announced records that were never received. */
  readonly missing: number;
  readonly repeated: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly resumed_from_skip?: number;
  readonly began_again?: string;
}

const log = getLogger(["etl", "extractor", "run"]);

/**
 * Writes the raw file of `run` from its current position. Calls `onPage` with pages that are in the file, and `onSafe`
 * whenever some of them are durable, to store the progress. A call with the last stored progress resumes there, and
 * adds no record twice.
 *
 * @param onIds called occasionally while the ids of earlier records are read again
 * @throws as `pagesOf`, `Files.create` and the signal; PermanentError when the source repeats one page endlessly; and
 * BeginAgain when far fewer records were received than announced.
 */
export async function writeRun(
  run: Unfinished,
  { source, files, signal, onSafe, onPage, onIds = () => {} }: {
    source: Source;
    files: Files;
    signal: AbortSignal;
    onSafe: (run: Unfinished) => Promise<void>;
    onPage: (run: Unfinished) => void;
    onIds?: () => void;
  },
): Promise<WrittenRun> {
  const at = { resumed_from_skip: run.last_skip };
  if (await files.exists(run.raw_file)) {
    return { ...await factsOf(run, files, source, signal), ...run.bytes > 0 ? at : {} };
  }
  const part = run.bytes > 0 ? await files.resume(run.raw_file, run) : undefined;
  if (run.bytes > 0 && part === undefined) {
    run = await beginAgain(run, files);
    await onSafe(run);
  }
  const resumed = part === undefined ? {} : at;
  await using file = part ?? await files.create(run.raw_file, { resumable: true });
  const style = styleOf(source, run);
  const isInWindow = run.window !== undefined && !isBeginning(style, run.position ?? style.begin);
  const resumedWindow = isInWindow ? run.window : undefined;
  const { seen, recent } = await idsIn(part, source.recordPaths, resumedWindow?.records, signal, onIds);
  const isWhole = run.ended ??
    (run.position === undefined && run.total !== null && run.last_skip >= run.total);
  if (!isWhole) {
    const from = {
      position: run.position ?? style.at?.(run.last_skip) ?? style.begin,
      received: run.last_skip,
      pages: run.pages,
      firstTotal: run.first_total ?? undefined,
      announced: {
        total: run.total ?? undefined,
        pages: run.total_pages,
        most: run.most_total ?? run.total ?? undefined,
      },
      isKnown: (id: RecordId) => seen.has(id),
      full: run.full,
      windowReceived: run.window?.received,
    };
    let unkept = 0;
    let unsafe: Unfinished[] = [];
    let window: Window | undefined;
    let keyless = 0;
    for await (const page of pagesOf({ ...source, style }, from, signal)) {
      const { records, way } = page;
      const length = records?.length ?? 0;
      const ids = records?.ids ?? [];
      const moments = records?.moments ?? [];
      const { isTaken, isRepeated } = taken(ids, moments, (id) => seen.add(id));
      const fresh = isTaken.filter(Boolean).length;
      const isResumed = part !== undefined && run.pages === from.pages;
      window = windowOf(page, run, window, resumedWindow && { start: resumedWindow, seen: recent });
      // windows overlap at their edges: in one of them, only its own records count as repeated
      const repeated = window === undefined ? length - fresh : window.repeated(ids);
      refuseRepeated(
        page,
        length - repeated,
        window?.firstTotal ?? run.first_total,
        source,
        isResumed && style.mayExpire === true,
      );
      let lastPage: string | undefined;
      if (2 * fresh < length) refuseSharedKeys(records, source);
      keyless = length > 0 && ids.every((id) => id === undefined) ? keyless + 1 : 0;
      const isAnnounced = way.total !== undefined || way.pages !== undefined;
      if (keyless > MAX_KEYLESS && !isAnnounced && !style.mayExpire) refuseKeyless(page, source);
      if (records !== undefined) {
        const lines = records.intoLines((i) => isTaken[i]!);
        if (keyless > 0) {
          lastPage = refuseSame(page, lines, run, source);
        }
        await file.write(lines);
      }
      run = {
        ...run,
        paging: style.by,
        position: way.next ?? page.position,
        last_skip: run.last_skip + length,
        records: run.records + fresh,
        duplicates: run.duplicates + length - fresh,
        pages: run.pages + 1,
        page_sizes: withPage(run.page_sizes, fresh),
        first_total: run.first_total ?? way.total ?? null,
        total: way.total ?? null,
        most_total: way.total === undefined ? null : Math.max(run.most_total ?? 0, way.total),
        total_pages: way.pages,
        window: window?.start,
        window_repeats: window && (run.window_repeats ?? 0) + repeated,
        ...reached(run, source.since?.from, moments, isRepeated),
        is_counted: run.since &&
          (run.is_counted || isCounted(page, source, run.pages + 1, run.last_skip + length)),
        ended: way.next === undefined,
        full: page.full,
        last_page: lastPage,
      };
      if (page.isNextHere && ++unkept < source.concurrency) continue;
      unkept = 0;
      unsafe.push(run = { ...run, bytes: file.bytes });
      const safe = await file.sync();
      const written = unsafe.findLast(({ bytes }) => bytes === safe.bytes);
      if (written !== undefined) {
        await onSafe({ ...written, ...safe });
        unsafe = unsafe.slice(unsafe.indexOf(written) + 1);
      }
      onPage(run);
      signal.throwIfAborted();
    }
  }
  const whole = judged(run, source);
  const { bytes, sha256 } = await file.publish();
  return { ...whole, bytes, sha256, ...resumed };
}

/**
 * The greatest moment that the run covers after a page. Records of earlier pages are skipped. If one of them has
 * changed, the range ends before that change, so that the next run requests it.
 */
function reached(
  { latest, is_latest_final, since }: Unfinished,
  first: Moment | undefined,
  moments: readonly unknown[],
  isRepeated: readonly boolean[],
): Pick<Unfinished, "latest" | "is_latest_final"> {
  if (is_latest_final || since === undefined) return { latest, is_latest_final };
  const isUsual = (moment: Moment) => isLike(since.from, moment);
  const laterOf = (one: Moment | undefined, other: unknown) => {
    const moment = later(undefined, other);
    if (moment === undefined) return one;
    // the definition may write its start otherwise than the source does
    if (one === undefined) return isUsual(moment) || since.from === first ? moment : undefined;
    if (isUsual(one) !== isUsual(moment)) return isUsual(one) ? one : moment;
    return later(one, moment);
  };
  const isChanged = moments.some((moment, i) => isRepeated[i] && laterOf(latest, moment) !== latest);
  return isChanged
    ? { latest, is_latest_final: true }
    : { latest: moments.reduce<Moment | undefined>(laterOf, latest) };
}

/** The part of a run that requests the changes of one window. */
interface Window {
  readonly to: Moment;
  /** The run's records, and those received, where it begins. */
  readonly start: NonNullable<Unfinished["window"]>;
  /** The total on its first page; windows before it are included. */
  readonly firstTotal: number | null;
  /** How many of these ids earlier pages of the window had. */
  repeated(ids: readonly (RecordId | undefined)[]): number;
}

/** The window of `page`; undefined if the run has none. `resumed` is what a resumed run has received of it before. */
function windowOf(
  { position: { to }, way }: Page,
  run: Unfinished,
  last: Window | undefined,
  resumed: { start: Window["start"]; seen: IdSet } | undefined,
): Window | undefined {
  if (to === undefined || last?.to === to) return last;
  const before = last === undefined ? resumed : undefined;
  const seen = before?.seen ?? new IdSet();
  return {
    to,
    start: before?.start ?? { records: run.records, received: run.last_skip },
    firstTotal: (before === undefined ? way.total : run.total) ?? null,
    repeated(ids) {
      const known = ids.filter((id) => id !== undefined && seen.has(id)).length;
      for (const id of ids) if (id !== undefined) seen.add(id);
      return known;
    },
  };
}

/** @throws BeginAgain if too many records are missing. */
function judged(run: Unfinished, source: Source): Omit<WrittenRun, "bytes" | "sha256"> {
  const { records, duplicates, pages, last_skip: received, began_again } = run;
  const total = run.total ?? records;
  const announced = run.most_total ?? run.total;
  // windows overlap at their edges, so their totals count some records twice
  const came = source.since?.window === undefined ? records : received - (run.window_repeats ?? 0);
  const { missing, isComplete } = ending({ records: came, announced: announced ?? undefined });
  if (!isComplete) {
    throw new BeginAgain(
      `Cannot complete the run: ${source.name} announced ${announced} ${source.pipeline}, and ${came} came on ${pages} pages. ` +
        `Check the definition's paging and key against the source; the next run begins at its beginning.`,
      { retryable: true },
    );
  }
  if (missing > 0) {
    const repeated = duplicates; // as many duplicates as missing records: the source may order each page differently
    log.warning("fewer records came than the source had announced", {
      announced,
      received,
      missing,
      repeated,
    });
  }
  const figures = { records, duplicates, pages, total, announced, received, missing, repeated: duplicates };
  return {
    ...figures,
    ...reportedPages(run, source),
    ...began_again === undefined ? {} : { began_again },
  };
}

/**
 * The facts of a file that was published before the process was killed. It is complete, as only complete files are
 * published.
 */
async function factsOf(
  run: Unfinished,
  files: Files,
  source: Source,
  signal: AbortSignal,
): Promise<WrittenRun> {
  const { bytes, sha256 } = await files.facts(run.raw_file, signal);
  let records = 0;
  for await (const { lines } of files.lines(run.raw_file, { sha256, signal })) records += lines.length;
  return { ...judged({ ...run, records, last_skip: records + run.duplicates }, source), bytes, sha256 };
}

/** Sets aside the rest of the `.part` file, as none of it can be trusted. */
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

function styleOf(source: Source, run: Unfinished): Source["style"] {
  if (source.since === undefined || run.since === undefined) return source.style;
  return since(source.style, source.since, run.since.from, run.since.now);
}

/**
 * Inserted records shift others to the next page, but a page of known records only needs as many insertions. Records
 * also repeat on pages that are read again after a fallen total.
 */
function refuseRepeated(
  page: Page,
  fresh: number,
  firstTotal: number | null,
  source: Source,
  mayBeExpired: boolean,
) {
  const held = page.records?.length ?? 0;
  const isAgain = page.position.again !== undefined;
  if (fresh > 0 || held === 0 || isAgain) return;
  const { total = 0 } = page.way;
  if (total - (firstTotal ?? total) >= held) return;
  const { label } = page;
  if (mayBeExpired) {
    throw new Outdated(
      `Cannot resume at page ${label} of ${source.name}: its ${held} ${source.pipeline} were all on earlier pages. The source no longer ` +
        `knows this position: cursors and links may expire. The run begins at the source's beginning.`,
      { retryable: true },
    );
  }
  const parameter = label.includes("=")
    ? label.slice(0, label.indexOf("="))
    : "what the definition's paging sends";
  throw new PermanentError(
    `Cannot continue at page ${label} of ${source.name}: its ${held} ${source.pipeline} were all on earlier pages. ` +
      `Does the source respect ${parameter}? Correct the definition or the source, and start a run: its state is kept at ${label}.`,
  );
}

/**
 * The ids in a file that was truncated to whole pages; none in a new file. Those from line `start` on are in `recent`
 * too.
 */
async function idsIn(
  part: GrowingFile | undefined,
  paths: Paths,
  start: number | undefined,
  signal: AbortSignal,
  onIds: () => void,
): Promise<{ seen: IdSet; recent: IdSet }> {
  const [seen, recent] = [new IdSet(), new IdSet()];
  const encoder = new TextEncoder();
  let before = 0;
  for await (const { lines, flaws } of part?.lines(signal) ?? []) {
    lines.forEach((line, i) => {
      const id = flaws.has(i) ? undefined : idOf(encoder.encode(line), paths);
      if (id === undefined) return;
      seen.add(id);
      if (start !== undefined && before + i >= start) recent.add(id);
    });
    before += lines.length;
    onIds();
  }
  return { seen, recent };
}
