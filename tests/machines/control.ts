/**
 * The expected result: the same runs on a single machine with all engines embedded.
 *
 * @module
 */
import { openStoreToRead } from "../../shared/store/open.ts";
import type { CurrentCursor } from "../../shared/store/current_rows.ts";
import type { DeliveryRow } from "../../shared/store/rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";
import type { FileKind } from "../../shared/contracts/names.ts";
import { startPipeline } from "../support/test_pipeline.ts";
import type { SourceSize } from "./cluster.ts";

/** The result of a run. */
export interface Control {
  readonly files: ReadonlyMap<FileKind, string>;
  /** The names of the delivered files, without their times. */
  readonly delivered: readonly string[];
  /** The current state: each key and its record. */
  readonly current: readonly string[];
}

/** The longest wait for the run on a busy machine, in milliseconds. */
const PATIENCE_MS = 240_000;

/** The number of rows of the current state that are read together. */
const AT_ONCE = 1_000;

/** Runs each pipeline once, without faults. */
export async function controlOf(
  source: SourceSize,
  pipelines: readonly string[],
): Promise<Map<string, Control>> {
  await using pipeline = await startPipeline({ ...source, sftp: "openssh" });
  await pipeline.start("extractor", "transformer", "saver");
  const controls = new Map<string, Control>();
  for (const name of pipelines) {
    const run_id = await pipeline.tell(name);
    await pipeline.until(
      `${name} is completed`,
      () => pipeline.run(run_id)?.status === "COMPLETED",
      () => `it is ${pipeline.run(run_id)?.status}`,
      PATIENCE_MS,
    );
    await using store = await openStoreToRead({ path: `${pipeline.folder}/database/data.db` });
    const files = new Map<FileKind, string>();
    for (const file of (await store!.runs.filesOf([run_id])).get(run_id) ?? []) {
      files.set(file.kind, await Deno.readTextFile(`${pipeline.folder}/${file.name}`));
    }
    controls.set(name, {
      files,
      delivered: ((await store!.runs.deliveriesOf([run_id])).get(run_id) ?? []).map(timeless).sort(),
      current: await currentOf(store!, name),
    });
  }
  return controls;
}

/** Returns the rows of the current state of `pipeline`, masked, without times and numbers of runs. */
export async function currentOf(store: ReadStore, pipeline: string): Promise<string[]> {
  if ((await store.current.table(pipeline)) === undefined) return [];
  const rows: string[] = [];
  let after: CurrentCursor | undefined;
  do {
    const page = await store.current.page(pipeline, {}, { limit: AT_ONCE, after });
    rows.push(...page.map(({ key, record }) => JSON.stringify([key, record])));
    after = page.at(-1)?.cursor;
  } while (after !== undefined);
  return rows;
}

/** Returns the name of a delivered file without the time of its run. */
export function timeless({ name }: Pick<DeliveryRow, "name">): string {
  return name.replace(/_\d{8}_\d{6}/, "");
}
