/**
 * Receipts: what was made of each raw file, kept on disk (docs/decisions/010-announced-again.md). The transformer answers from them when a raw
 * file is announced again, and the saver finds in them what was transformed and never loaded.
 *
 * @module
 */
import { basename, dirname } from "node:path";
import { z } from "zod";
import { childId } from "../contracts/ids.ts";
import { Detail, type Phase1Complete, RunId, Sha256 } from "../contracts/messages.ts";
import { fileError, writeAtomically } from "./disk.ts";
import type { Files } from "./files.ts";

const Facts = z.object({ name: z.string(), bytes: z.int().nonnegative(), sha256: Sha256 });

/** What the message that announces the files repeats of the one that announced the raw file. */
const Announced = z.object({
  id: z.string().optional(),
  raw_file: z.string(),
  run_id: RunId,
  pipeline: z.string(),
  source: z.string().optional(),
  correction_of: RunId.optional(),
  corrects: z.array(z.int().positive()).optional(),
});
type Announced = z.output<typeof Announced>;

/** What is kept of a transform: the files, what was found, and what the announcement repeats. */
const Receipt = z.object({
  raw: Facts,
  processed: Facts,
  dead: Facts,
  valid: z.int().nonnegative(),
  invalid: z.int().nonnegative(),
  fields: z.array(z.string()),
  lookup_sha256: Sha256,
  rules_sha256: Sha256,
  /** What else is reported of the transform. */
  report: Detail,
  /** A receipt of an earlier version has none. */
  announced: Announced.optional(),
});
/** What was made of a raw file, and with what. */
export type Receipt = z.output<typeof Receipt>;

const FOLDER = "state/transformed";

/** The receipt of the files that `names` leads to, if they and the raw file are still those that it describes. @throws as `Files.facts`. */
export async function standing(
  files: Files,
  rawFile: string,
  processedFile: string,
  signal: AbortSignal,
): Promise<Receipt | undefined> {
  const receipt = await read(pathOf(files, processedFile));
  if (receipt === undefined) return undefined;
  for (const { name, sha256 } of [{ ...receipt.raw, name: rawFile }, receipt.processed, receipt.dead]) {
    if (!await files.exists(name) || (await files.facts(name, signal)).sha256 !== sha256) return undefined;
  }
  return receipt;
}

/** Keeps a receipt, once its files have their names. @throws as `writeAtomically`. */
export async function keepReceipt(files: Files, receipt: Receipt): Promise<void> {
  await writeAtomically(pathOf(files, receipt.processed.name), JSON.stringify(Receipt.parse(receipt)));
}

/** Removes the receipt of a processed file that is removed. @throws as `fileError`. */
export async function removeReceipt(files: Files, processedFile: string): Promise<void> {
  const path = pathOf(files, processedFile);
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError("remove", path, error);
  }
}

/** The receipts of all processed files except `others`. Of those only the names are read. @throws as `fileError`. */
export async function* receiptsExcept(
  files: Files,
  others: Iterable<string>,
): AsyncGenerator<Required<Receipt>> {
  const known = new Set(Array.from(others, (file) => pathOf(files, file)));
  for (const folder of await namesIn(files.path(FOLDER, ""))) {
    for (const name of await namesIn(files.path(FOLDER, folder))) {
      const path = files.path(`${FOLDER}/${folder}`, name);
      const receipt = name.endsWith(".json") && !known.has(path) ? await read(path) : undefined;
      if (receipt?.announced !== undefined) yield { ...receipt, announced: receipt.announced };
    }
  }
}

/** The message that announces the files of a receipt: its id, the same each time, and its fields. */
export function phase2Of(announced: Announced | Phase1Complete, receipt: Receipt) {
  const { raw, processed, dead, valid, invalid, fields, lookup_sha256, rules_sha256 } = receipt;
  const { id, raw_file, run_id, pipeline, source, correction_of, corrects } = announced;
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
      correction_of,
      corrects,
      lookup_sha256,
      rules_sha256,
      fields,
    },
  };
}

/** Name of the extractor's output that announces a raw file; the message's id derives from it. */
export const PHASE1 = "phase1";
/** Name of the transformer's output that announces its files; the message's id derives from it. */
export const PHASE2 = "phase2";

function pathOf(files: Files, processedFile: string): string {
  return files.path(`${FOLDER}/${basename(dirname(processedFile))}`, `${basename(processedFile)}.json`);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
    throw fileError("read", folder, error);
  }
}

async function read(path: string): Promise<Receipt | undefined> {
  try {
    return Receipt.safeParse(JSON.parse(await Deno.readTextFile(path))).data;
  } catch (error) {
    // one that can't be parsed is as good as none
    if (error instanceof SyntaxError || error instanceof Deno.errors.NotFound) return undefined;
    throw fileError("read", path, error);
  }
}
