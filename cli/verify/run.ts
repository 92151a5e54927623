import type { Inspection } from "../../saver/delivery/inspect.ts";
import { manifestOf } from "../../saver/manifest.ts";
import type { Files } from "../../shared/files/files.ts";
import type { FileKind } from "../../shared/contracts/names.ts";
import type { TransformerParts } from "../../transformer/transformer.ts";
import { transformAgain } from "./again.ts";
import { databaseCopy, factsOf, localCopy, noted, remoteCopy, RESTORE } from "./copies.ts";
import { differs, equal, type Finding, finding, type Item, missing } from "./finding.ts";
import type { FileRow, RunRow } from "../../shared/store/rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";

export interface VerifyParts {
  readonly store: Pick<ReadStore, "runs" | "records">;
  readonly files: Files;
  readonly feedOf: TransformerParts["feedOf"];
  /** Connects to the server; called only if something was delivered. */
  readonly server: () => Promise<Inspection>;
}

/** Compares the copies of a run's files, its numbers and its delivery; yields each item as soon as it is known. */
export async function* verifyRun(run: RunRow, parts: VerifyParts): AsyncGenerator<Item> {
  const { store, files, feedOf, server } = parts;
  const item = (place: Item["place"], file: Item["file"], found: Finding): Item => ({
    run_id: run.run_id,
    place,
    file,
    ...found,
  });
  const rows = (await store.runs.filesOf([run.run_id])).get(run.run_id) ?? [];
  const loaded = byKind(rows);
  if (run.loaded_at === null || loaded === undefined) {
    yield item(
      "run",
      "counts",
      missing(
        `its files aren't loaded (${run.status}). ${
          run.status === "HELD" ? "Release or reject it." : "Wait for the load, or start a new run."
        }`,
      ),
    );
    return;
  }
  yield item("run", "counts", counts(run, loaded));

  const local = new Map<FileKind, Finding>();
  for (const file of rows) {
    local.set(file.kind, await finding(() => localCopy(files, file)));
    yield item("local", file.kind, local.get(file.kind)!);
  }
  for (const file of rows) {
    const copy = () => databaseCopy(store.records, file, files, local.get(file.kind)!);
    yield item("database", file.kind, await finding(copy));
  }

  let again: Partial<Record<FileKind, Finding>> = {};
  const failed = await finding(async () => {
    again = { ...await transformAgain(run, loaded, local.get("raw")!, files, feedOf) };
    return equal("");
  });
  for (const kind of ["processed", "invalid"] as const) yield item("transform", kind, again[kind] ?? failed);

  const deliveries = new Map(((await store.runs.deliveriesOf([run.run_id])).get(run.run_id) ?? [])
    .map((row) => [row.kind, row]));
  const wanted = [
    ...rows.map((file) => ({ kind: file.kind, facts: file })),
    { kind: "manifest" as const, facts: factsOf(manifestOf(run, rows)) },
  ];
  for (const { kind, facts } of wanted) {
    yield item("deliveries", kind, noted(deliveries.get(kind), facts, run.delivery_state));
  }
  for (const { kind } of wanted) {
    const delivery = deliveries.get(kind);
    if (delivery === undefined) continue;
    yield item("server", kind, await finding(async () => await remoteCopy(await server(), delivery)));
  }
}

function counts(run: RunRow, { raw, processed, invalid }: Loaded): Finding {
  const counts = `${run.valid_count} valid and ${run.invalid_count} invalid`;
  const found = `${processed.records} processed and ${invalid.records} invalid`;
  if (processed.records !== run.valid_count || invalid.records !== run.invalid_count) {
    return differs(`the run's row says ${counts}, but ${found} records were loaded. ${RESTORE}`);
  }
  if (raw.records !== processed.records + invalid.records) {
    return differs(
      `${raw.records} raw records became ${found}. The program that transformed them lost or duplicated some: ` +
        `start a new run with this project's transformer.`,
    );
  }
  return equal(`${raw.records} records: ${counts}`);
}

type Loaded = Record<FileKind, FileRow>;

function byKind(rows: readonly FileRow[]): Loaded | undefined {
  const of = (kind: FileKind) => rows.find((row) => row.kind === kind);
  const [raw, processed, invalid] = [of("raw"), of("processed"), of("invalid")];
  return raw && processed && invalid && { raw, processed, invalid };
}
