/**
 * What was made of each raw file, kept on disk: the first outcome stands, so that announcing a raw file again never replaces files that may be
 * loaded or delivered already (docs/decisions/010-announced-again.md).
 *
 * @module
 */
import { z } from "zod";
import { Detail, Sha256 } from "../shared/contracts/messages.ts";
import { fileError, writeAtomically } from "../shared/files/disk.ts";
import type { Files } from "../shared/files/files.ts";

const Facts = z.object({ name: z.string(), bytes: z.int().nonnegative(), sha256: Sha256 });

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
});
/** What was made of a raw file, and with what. */
export type Receipt = z.output<typeof Receipt>;

/** The receipt of the files that `names` leads to, if they and the raw file are still those that it tells of. @throws as `Files.facts`. */
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
export async function keep(files: Files, receipt: Receipt): Promise<void> {
  await writeAtomically(pathOf(files, receipt.processed.name), JSON.stringify(receipt));
}

function pathOf(files: Files, processedFile: string): string {
  const [folder, name] = processedFile.split("/").slice(-2) as [string, string];
  return files.path(`state/transformed/${folder}`, `${name}.json`);
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
