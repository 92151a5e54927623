/**
 * Announcements of raw files, kept on disk until their files are transformed: the channel may lose them.
 *
 * @module
 */
import { pipelineOfFile, transformedNames } from "../shared/contracts/names.ts";
import { fileError, writeAtomically } from "../shared/files/disk.ts";
import type { Files } from "../shared/files/files.ts";
import { Finished } from "./checkpoint.ts";

function folderIn(files: Files): string {
  return files.path("state", "untransformed");
}

/** Keeps what is announced of a finished run. @throws as `writeAtomically`. */
export async function keepAnnouncement(files: Files, run: Finished): Promise<void> {
  await writeAtomically(`${folderIn(files)}/${run.run_id}.json`, JSON.stringify(run));
}

/** Forgets the announcement of a run that has ended. @throws as `fileError`. */
export async function forgetAnnouncement(files: Files, runId: string): Promise<void> {
  const path = `${folderIn(files)}/${runId}.json`;
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError("remove", path, error);
  }
}

/**
 * The finished runs whose raw file is there and was never transformed, of any age, oldest first. The announcements of others are forgotten, so
 * that this takes time for what is pending alone.
 *
 * @throws as `fileError`.
 */
export async function* untransformed(files: Files): AsyncGenerator<Finished> {
  const folder = folderIn(files);
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".json")) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw fileError("read", folder, error);
  }
  for (const name of names.sort()) {
    const run = await read(`${folder}/${name}`);
    if (run === undefined) continue;
    const { processed } = transformedNames(pipelineOfFile(run.raw_file), run.raw_file);
    if (await files.exists(run.raw_file) && !await files.exists(files.path(...processed))) yield run;
    else await forgetAnnouncement(files, name.slice(0, -".json".length));
  }
}

async function read(path: string): Promise<Finished | undefined> {
  try {
    return Finished.safeParse(JSON.parse(await Deno.readTextFile(path))).data;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof Deno.errors.NotFound) return undefined;
    throw fileError("read", path, error);
  }
}
