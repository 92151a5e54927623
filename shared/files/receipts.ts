/**
 * Receipts: the results of each raw file's transform, kept beside the files (docs/decisions/010-announced-again.md). The transformer answers repeated
 * announcements from them, and the saver finds transformed files that were never loaded.
 */
import { basename, dirname } from "node:path";
import { z } from "zod";
import { childId } from "../contracts/ids.ts";
import {
  Completeness,
  Detail,
  type Phase1Complete,
  RunId,
  Sha256,
  SinceRange,
} from "../contracts/messages.ts";
import { type Documents, parsedAs } from "./documents.ts";
import type { Files } from "./files.ts";

const Facts = z.object({ name: z.string(), bytes: z.int().nonnegative(), sha256: Sha256 });

/** The part of the raw file's announcement that a receipt repeats. */
const Announced = z.object({
  id: z.string().optional(),
  raw_file: z.string(),
  run_id: RunId,
  pipeline: z.string(),
  source: z.string().optional(),
  since: SinceRange.optional(),
  completeness: Completeness.optional(),
  correction_of: RunId.optional(),
  corrects: z.array(z.int().positive()).optional(),
});
type Announced = z.output<typeof Announced>;

/** The files of a transform, its findings, and the repeated part of the announcement. */
const Receipt = z.object({
  raw: Facts,
  processed: Facts,
  dead: Facts,
  valid: z.int().nonnegative(),
  invalid: z.int().nonnegative(),
  fields: z.array(z.string()),
  lookup_sha256: Sha256,
  rules_sha256: Sha256,
  /** The rest of the transform's report. */
  report: Detail,
  announced: Announced.optional(),
});
export type Receipt = z.output<typeof Receipt>;

const FOLDER = "transformed";

/** The receipt for `names`, if these files and the raw file still match it. @throws as `Files.facts`. */
export async function standing(
  files: Files,
  rawFile: string,
  processedFile: string,
  signal: AbortSignal,
): Promise<Receipt | undefined> {
  const receipt = await read(files.documents, nameOf(processedFile));
  if (receipt === undefined) return undefined;
  for (const { name, sha256 } of [{ ...receipt.raw, name: rawFile }, receipt.processed, receipt.dead]) {
    if (!await files.exists(name) || (await files.facts(name, signal)).sha256 !== sha256) return undefined;
  }
  return receipt;
}

/** Stores a receipt. Must be called after the files have their names. @throws as `Documents.write`. */
export async function keepReceipt(files: Files, receipt: Receipt): Promise<void> {
  await files.documents.write(nameOf(receipt.processed.name), JSON.stringify(Receipt.parse(receipt)));
}

/** @throws as `Documents.remove`. */
export async function removeReceipt(files: Files, processedFile: string): Promise<void> {
  await files.documents.remove(nameOf(processedFile));
}

/** The receipts of all processed files except `others`; the receipts of `others` aren't read. @throws as `Documents.read`. */
export async function* receiptsExcept(
  { documents }: Files,
  others: Iterable<string>,
): AsyncGenerator<Required<Receipt>> {
  const known = new Set(Array.from(others, nameOf));
  for await (const name of documents.list(FOLDER)) {
    const receipt = name.endsWith(".json") && !known.has(name) ? await read(documents, name) : undefined;
    if (receipt?.announced !== undefined) yield { ...receipt, announced: receipt.announced };
  }
}

/** The message that announces the files of a receipt: its id, which is always the same, and its fields. */
export function phase2Of(announced: Announced | Phase1Complete, receipt: Receipt) {
  const { raw, processed, dead, valid, invalid, fields, lookup_sha256, rules_sha256 } = receipt;
  const { id, raw_file, run_id, pipeline, source, since, completeness, correction_of, corrects } = announced;
  return {
    id: childId(id ?? `receipt/${run_id}`, PHASE2),
    fields: {
      raw_file,
      processed_file: processed.name,
      dlq_file: dead.name,
      valid_count: valid,
      invalid_count: invalid,
      run_id,
      pipeline,
      raw_sha256: raw.sha256,
      processed_sha256: processed.sha256,
      dlq_sha256: dead.sha256,
      source,
      since,
      completeness,
      correction_of,
      corrects,
      lookup_sha256,
      rules_sha256,
      fields,
    },
  };
}

/** The extractor's output that announces a raw file; the message's id derives from it. */
export const PHASE1 = "phase1";
/** The transformer's output that announces its files; the message's id derives from it. */
export const PHASE2 = "phase2";

function nameOf(processedFile: string): string {
  return `${FOLDER}/${basename(dirname(processedFile))}/${basename(processedFile)}.json`;
}

/** A receipt that can't be parsed counts as missing. */
async function read(documents: Documents, name: string): Promise<Receipt | undefined> {
  return parsedAs(Receipt, await documents.read(name) ?? "");
}
