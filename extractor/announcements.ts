/** Announcements of raw files, kept until their files are transformed: the channel may lose them. */
import { pipelineOfFile, transformedNames } from "../shared/contracts/names.ts";
import { type Documents, parsedAs } from "../shared/files/documents.ts";
import type { Files } from "../shared/files/files.ts";
import { Finished } from "./checkpoint.ts";

const FOLDER = "untransformed";

function nameOf(runId: string): string {
  return `${FOLDER}/${runId}.json`;
}

/** @throws as `Documents.write`. */
export async function keepAnnouncement(state: Documents, run: Finished): Promise<void> {
  await state.write(nameOf(run.run_id), JSON.stringify(run));
}

/** @throws as `Documents.remove`. */
export async function forgetAnnouncement(state: Documents, runId: string): Promise<void> {
  await state.remove(nameOf(runId));
}

/**
 * The finished runs whose raw file exists and was never transformed, of any age, oldest first. The announcements of
 * other runs are removed, so the duration depends on pending runs only.
 *
 * @throws as `Documents.read` and `Files.exists`.
 */
export async function* untransformed(state: Documents, files: Files): AsyncGenerator<Finished> {
  for (const name of await Array.fromAsync(state.list(FOLDER))) {
    const run = name.endsWith(".json") ? parsedAs(Finished, await state.read(name) ?? "") : undefined;
    if (run === undefined) continue;
    const { processed } = transformedNames(pipelineOfFile(run.raw_file), run.raw_file);
    if (await files.exists(run.raw_file) && !await files.exists(files.path(...processed))) yield run;
    else await state.remove(name);
  }
}
