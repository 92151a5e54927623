import { basename } from "node:path";
import { DEFAULT_PIPELINE } from "../shared/contracts/names.ts";
import type { Manifest } from "./delivery/delivery.ts";
import { completenessOf, type FileRow, type RunRow } from "../shared/store/rows.ts";

/**
 * The manifest contains nothing that changes between two deliveries of the run, so that a repeated delivery finds the
 * same file.
 */
export function manifestOf(run: RunRow, files: readonly FileRow[]): Manifest {
  const manifest = {
    manifest_version: 1,
    run_id: run.run_id,
    // manifests of users had no such member before there were other pipelines
    ...(run.pipeline === DEFAULT_PIPELINE ? {} : { pipeline: run.pipeline }),
    source: run.source,
    correction_of: run.correction_of,
    loaded_at: run.loaded_at,
    valid_count: run.valid_count,
    invalid_count: run.invalid_count,
    files: files.map(({ kind, name, bytes, records, sha256 }) => ({
      kind,
      name: basename(name),
      bytes,
      records,
      sha256,
    })),
    lookup_sha256: run.lookup_sha256,
    rules_sha256: run.rules_sha256,
    completeness: completenessOf(run),
  };
  return { name: manifestName(run.raw_file ?? run.run_id), text: `${JSON.stringify(manifest, null, 2)}\n` };
}

/** `manifest_TS.json`, with the time in the raw file's name, or with the complete name if it has no time. */
function manifestName(rawFile: string): string {
  const stem = basename(rawFile, ".jsonl");
  return `manifest_${/(\d{8}_\d{6})$/.exec(stem)?.[1] ?? stem}.json`;
}
