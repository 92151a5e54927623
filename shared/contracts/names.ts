/**
 * The names that derive from a pipeline's name: its tables, files and folders. For `users` they are those of the
 * original services.
 *
 * @module
 */
import { z } from "zod";

/** The pipeline of messages and files that name none: the original services processed only this one. */
export const DEFAULT_PIPELINE = "users";

/** A pipeline's name. */
export const PipelineName = z.string().regex(
  /^[a-z][a-z0-9_]{0,39}$/,
  "wanted lower-case letters, digits and underscores, a letter first, at most 40",
);

/** The kind of a run's file: as received from the source, valid, or invalid. */
export type FileKind = "raw" | "processed" | "invalid";

/** Every kind of file, in the order in which they are loaded. */
export const FILE_KINDS = ["raw", "processed", "invalid"] as const satisfies readonly FileKind[];

/** A table of records, such as `raw_users`: the content of all files of this kind, over all runs of a pipeline. */
export type RecordTable = `${FileKind}_${string}`;

/** The kind and the pipeline of a table of records; undefined if `table` can't be such a table's name. */
export function partsOfTable(table: string): { kind: FileKind; pipeline: string } | undefined {
  const [, kind, pipeline] = /^(raw|processed|invalid)_(.+)$/.exec(table) ?? [];
  if (pipeline === undefined || !PipelineName.safeParse(pipeline).success) return undefined;
  return { kind: kind as FileKind, pipeline };
}

/** The folder, in the data directory, of a pipeline's raw files `records_TS.jsonl`. */
export function rawFolder(pipeline: string): string {
  return `raw_${pipeline}`;
}

/** The file, in the folder `state`, with the progress of a pipeline's extraction. */
export function stateFile(pipeline: string): string {
  return pipeline === DEFAULT_PIPELINE ? "extractor_state.json" : `${pipeline}.json`;
}

/** Folder and name of the two files that are derived from a raw file. */
export interface TransformedNames {
  /** `etl_TS.jsonl` for `records_TS.jsonl`; `etl_X.jsonl` for any other `X.jsonl`. */
  readonly processed: readonly [folder: string, name: string];
  /** `invalid_NAME_TS.jsonl`. */
  readonly invalid: readonly [folder: string, name: string];
}

/** The names of the files derived from the raw file `rawFile`. */
export function transformedNames(pipeline: string, rawFile: string): TransformedNames {
  const name = rawFile.slice(rawFile.lastIndexOf("/") + 1);
  const stamp = /^records_(\d{8}_\d{6})\.jsonl$/.exec(name)?.[1] ?? name.replace(/\.jsonl$/, "");
  return {
    processed: [`processed_${pipeline}`, `etl_${stamp}.jsonl`],
    invalid: ["dlq", `invalid_${pipeline}_${stamp}.jsonl`],
  };
}

/**
 * The pipeline that the raw file at `path` belongs to, by its folder (`data/raw_NAME/…`); `users` if the folder names
 * none.
 */
export function pipelineOfFile(path: string): string {
  return partsOfTable(path.split("/").at(-2) ?? "")?.pipeline ?? DEFAULT_PIPELINE;
}
