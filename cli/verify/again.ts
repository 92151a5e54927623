/** Repeats the transform: the same raw file, lookup and rules must give the same bytes. */
import { createHash } from "node:crypto";
import { identityOf } from "../../shared/pipeline/identity.ts";
import { PermanentError } from "../../shared/errors/errors.ts";
import type { Files } from "../../shared/files/files.ts";
import type { Feed, TransformerParts } from "../../transformer/transformer.ts";
import { MAX_RAW_BYTES, type Sink, transform } from "../../transformer/transform.ts";
import { differs, equal, type Finding, skipped } from "./finding.ts";
import type { FileRow, RunRow } from "../../shared/store/rows.ts";

/**
 * Transforms the raw file again, without writing anything, and compares both results with the loaded files. `local` is
 * the finding about the raw file. @throws when it can't be read.
 */
export async function transformAgain(
  run: RunRow,
  loaded: Record<"raw" | "processed" | "invalid", FileRow>,
  local: Finding,
  files: Files,
  feedOf: TransformerParts["feedOf"],
): Promise<Record<"processed" | "invalid", Finding>> {
  const feed = comparable(run, local, feedOf);
  if (typeof feed === "string") return { processed: skipped(feed), invalid: skipped(feed) };
  const { plan, lookups: { added } } = feed;
  const processed = new HashSink();
  const dead = new HashSink();
  const lines = files.lines(loaded.raw.name, { sha256: loaded.raw.sha256, maxLineBytes: MAX_RAW_BYTES });
  await transform(lines, { processed, dead, plan, added, progress: () => {} });
  return {
    processed: compare(processed.sha256(), loaded.processed),
    invalid: compare(dead.sha256(), loaded.invalid),
  };
}

/** The run's definition and lookup if they are unchanged, else why the transform can't be repeated. */
function comparable(run: RunRow, local: Finding, feedOf: TransformerParts["feedOf"]): Feed | string {
  if (local.result !== "equal") return "the raw file that was loaded isn't on the local disk";
  if (run.lookup_sha256 === null || run.rules_sha256 === null) {
    return "the transformer of this run didn't record which lookup and rules it used";
  }
  let feed: Feed;
  try {
    feed = feedOf(run.pipeline);
  } catch (error) {
    if (error instanceof PermanentError) return `the pipeline "${run.pipeline}" is out of service`;
    throw error;
  }
  const changed = [
    ...(run.lookup_sha256 === feed.lookups.sha256 ? [] : ["the lookup file"]),
    ...(run.rules_sha256 === identityOf(feed.plan) ? [] : ["the rules"]),
  ];
  return changed.length === 0 ? feed : `${changed.join(" and ")} changed since the run`;
}

function compare(sha256: string, file: FileRow): Finding {
  if (sha256 === file.sha256) return equal("the same bytes again");
  return differs(
    `transforming the raw file again gives SHA-256 ${sha256}, but ${file.sha256} was loaded. ` +
      `Another version of the transformer made the file, or it wasn't made from this raw file.`,
  );
}

class HashSink implements Sink {
  readonly #hash = createHash("sha256");

  write(text: string): Promise<void> {
    this.#hash.update(text);
    return Promise.resolve();
  }

  sha256(): string {
    return this.#hash.digest("hex");
  }
}
