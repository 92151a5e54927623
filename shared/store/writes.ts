/** What the saver passes to the store. */
import type { Completeness, SinceRange } from "../contracts/messages.ts";
import type { FileKind } from "../contracts/names.ts";
import type { FileFacts } from "../files/files.ts";
import type { LineBatch } from "../files/lines.ts";
import type { DeliveryRow } from "./rows.ts";

/** What is known of a run whose files are to be loaded. */
export interface RunToLoad {
  readonly runId: string;
  readonly pipeline: string;
  /** When its files were announced. */
  readonly at: string;
  /** The source of the records. */
  readonly source?: string | undefined;
  /** The run whose dead letters it corrects. */
  readonly correctionOf?: string | undefined;
}

/** What is known of a run whose files are all loaded. */
export interface LoadedRun extends RunToLoad {
  readonly rawFile: string;
  readonly processedFile: string;
  readonly dlqFile: string;
  /** Records of the processed file. */
  readonly validCount: number;
  /** Records of the dead-letter file. */
  readonly invalidCount: number;
  /** Line n of the raw file corrects line `corrects[n - 1]` of the corrected run's dead-letter file. */
  readonly corrects?: readonly number[] | undefined;
  /** The range of changes that was asked for, if not everything. */
  readonly since?: SinceRange | undefined;
  readonly completeness?: Completeness | undefined;
  /** SHA-256 of the lookup that the records were enriched with. */
  readonly lookupSha256?: string | undefined;
  /** SHA-256 of the rules that they were validated with. */
  readonly rulesSha256?: string | undefined;
  /** Top-level keys of the records; by default those of the first records. */
  readonly fields?: readonly string[] | undefined;
}

/** A file on the SFTP server, to be stored. */
export type Delivered = Omit<DeliveryRow, "id" | "run_id" | "encrypted" | "sealed_sha256"> & {
  /** Whether it is encrypted there. */
  readonly encrypted: boolean;
  /** SHA-256 of the encrypted file. */
  readonly sealed_sha256?: string | undefined;
};

export interface FileToLoad {
  /** The run that it belongs to. */
  readonly runId: string;
  readonly pipeline: string;
  /** Which of the run's files it is. */
  readonly kind: FileKind;
  /** Its path, as in messages. */
  readonly name: string;
  /** The announced SHA-256, if any. */
  readonly sha256?: string | undefined;
  /** The announced number of records, if any. */
  readonly records?: number | undefined;
}

/** Opens a file's lines. It must call `onEnd` with what was read, after the last line, and throw if the bytes aren't the announced ones. */
export type LineSource = (onEnd: (facts: FileFacts) => void) => AsyncIterable<LineBatch>;

export interface LoadedFile {
  readonly records: number;
  /** Whether it was already loaded, so nothing was done. */
  readonly skipped: boolean;
}

export interface LoadOptions {
  /** Aborts the load, and rolls the file back. */
  readonly signal?: AbortSignal | undefined;
  /** Called repeatedly with the number of the file's records so far. */
  readonly progress?: ((records: number) => void) | undefined;
}
