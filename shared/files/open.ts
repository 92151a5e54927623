import type { Files } from "./files.ts";
import { LocalFiles } from "./local.ts";
import { S3Files } from "./s3/files.ts";
import type { S3Place } from "./s3/place.ts";

/** A folder of this machine's disk, or a bucket. Plain data, so it can be passed to another thread. */
export type FilesPlace = { readonly folder: string } | S3Place;

export function openFiles(place: FilesPlace): Files {
  return "folder" in place ? new LocalFiles(place.folder) : new S3Files(place);
}

export { inspectBucket } from "./s3/inspect.ts";
