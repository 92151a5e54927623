/**
 * The definition of a source of any shape.
 *
 * @module
 */
import * as z from "zod";
import type { AnySource } from "../../extractor/source.ts";
import { integer, pipeline } from "../../shared/pipeline/mod.ts";
import type { AnyPipeline } from "../../shared/pipeline/plan.ts";

/** Returns a definition of things with an id, at `url` unless `source` says otherwise. */
export function thingsOf(source: Omit<AnySource, "url"> & { url?: string }, url: string): AnyPipeline {
  const record = z.object({ id: integer, at: z.string().optional() });
  return pipeline({ name: "things", record, key: "id", source: { url, ...source } as never });
}
