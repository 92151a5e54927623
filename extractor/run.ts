/**
 * The raw file of a run: begun or gone on with, filled page by page, and published when it is whole.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { PermanentError } from "../shared/errors/errors.ts";
import type { Files } from "../shared/files/files.ts";
import { AT_START, fileTime, type Unfinished } from "./checkpoint.ts";
import { IdSet } from "./ids.ts";
import type { Page } from "./page.ts";
import { idOf } from "./records.ts";
import type { Source } from "./source.ts";
import { pagesOf } from "./pages.ts";

/** A raw file that is whole. */
export interface WrittenRun {
  readonly records: number;
  /** Records that were left out, as an earlier page had their id. */
  readonly duplicates: number;
  /** Pages fetched, those before a resume included. */
  readonly pages: number;
  /** How many records the source said it has, last. */
  readonly total: number;
  readonly bytes: number;
  readonly sha256: string;
  /** Where the run was gone on with, if it was. */
  readonly resumed_from_skip?: number;
}

const log = getLogger(["etl", "extractor", "run"]);

/**
 * Writes the raw file of `run` from where it stands. After each page that is safely in the file `onPage` is called, to keep how far the run
 * is; calling this again with what it was last called with goes on there, and adds nothing twice.
 *
 * @throws as `pagesOf`, `Files.create` and the signal; and PermanentError when the source gives the same page for ever.
 */
export async function writeRun(
  run: Unfinished,
  { source, files, signal, onPage }: {
    source: Source;
    files: Files;
    signal: AbortSignal;
    onPage: (run: Unfinished) => Promise<void>;
  },
): Promise<WrittenRun> {
  const at = { resumed_from_skip: run.last_skip };
  if (await files.exists(run.raw_file)) {
    return { ...await factsOf(run, files, signal), ...run.bytes > 0 ? at : {} };
  }
  const part = run.bytes > 0 ? await files.resume(run.raw_file, run) : undefined;
  if (run.bytes > 0 && part === undefined) {
    run = await beginAgain(run, files);
    await onPage(run);
  }
  const resumed = part === undefined ? {} : at;
  await using file = part ?? await files.create(run.raw_file);
  file.keep();
  const seen = part === undefined ? new IdSet() : await idsIn(`${run.raw_file}.part`, files, signal);
  const isWhole = run.total !== null && run.last_skip >= run.total;
  if (!isWhole) {
    const from = { skip: run.last_skip, firstTotal: run.first_total ?? undefined };
    for await (const page of pagesOf(source, from, signal)) {
      const { length, ids } = page.records;
      const isFresh = ids.map((id) => id === undefined || !seen.has(id));
      const fresh = isFresh.filter(Boolean).length;
      refuseRepeated(page, fresh, run.first_total ?? page.total, source);
      await file.write(page.records.intoLines((i) => isFresh[i]!));
      for (const id of ids) if (id !== undefined) seen.add(id);
      run = {
        ...run,
        last_skip: page.skip + length,
        ...await file.sync(),
        records: run.records + fresh,
        duplicates: run.duplicates + length - fresh,
        pages: run.pages + 1,
        first_total: run.first_total ?? page.total,
        total: page.total,
      };
      await onPage(run);
      signal.throwIfAborted();
    }
  }
  const { records, duplicates, pages } = run;
  const total = run.total ?? 0;
  if (records < total) {
    log.warning("the source changed while it was read: there are fewer records than it announced", {
      records,
      total,
    });
  }
  const { bytes, sha256 } = await file.publish();
  return { records, duplicates, pages, total, bytes, sha256, ...resumed };
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

/** Records that were inserted in front shift others into the next page; a page of nothing else than seen ones is explained by no less growth. */
function refuseRepeated(page: Page, fresh: number, firstTotal: number, source: Source): void {
  const held = page.records.length;
  if (fresh > 0 || held === 0 || page.total - firstTotal >= held) return;
  throw new PermanentError(
    `Cannot go on at page skip=${page.skip} of ${source.name}: its ${held} users were all on earlier pages. ` +
      `Does the source heed skip? The run's state is kept at skip=${page.skip}.`,
  );
}

/** The ids in a file that was cut to whole pages. */
async function idsIn(path: string, files: Files, signal: AbortSignal): Promise<IdSet> {
  const seen = new IdSet();
  const encoder = new TextEncoder();
  for await (const { lines, flaws } of files.lines(path, { signal })) {
    lines.forEach((line, i) => {
      const id = flaws.has(i) ? undefined : idOf(encoder.encode(line));
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
