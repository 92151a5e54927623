/** Converts edited text of invalid records to patches, for the browser and the terminal. */
import { correctedRecord, MASK, mergePatch } from "../../shared/pipeline/merge_patch.ts";
import type { Patch } from "../../shared/contracts/messages.ts";
import type { JsonObject } from "../../shared/pipeline/problems.ts";
import { isExactObject, parseExact } from "../../shared/pipeline/exact_json.ts";
import type { AnswerOf, GraphqlClient } from "./graphql.ts";
import { INVALID_RECORDS, type InvalidRecord, type RecordPatch } from "./operations.ts";

export const MOST_AT_ONCE = 1000;

/** A draft of a record: fields to change, or its complete new text, which may not be JSON yet. */
export type Draft = { readonly merge: JsonObject } | { readonly text: string };

/** Whether the record was a line that isn't a JSON object, so that it can only be replaced as a whole. */
export function isLine(data: JsonObject): boolean {
  return typeof data.raw_line === "string" &&
    Object.keys(data).every((key) => key === "raw_line" || key === "error_reason");
}

export function recordOf(data: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(data).filter(([key]) => key !== "error_reason"));
}

/** The text to edit: the record as JSON over several lines, or its original line; empty if the line is hidden. */
export function editable(data: JsonObject): string {
  if (!isLine(data)) return JSON.stringify(recordOf(data), null, 2);
  return data.raw_line === MASK ? "" : data.raw_line as string;
}

/** The draft for `typed`, an edited `editable(data)`; undefined without a change. */
export function draftOf(data: JsonObject, typed: string): Draft | undefined {
  if (isLine(data)) return typed === editable(data) ? undefined : { text: typed };
  try {
    const after = parseExact(typed);
    if (!isExactObject(after)) return { text: typed };
    const merge = diff(recordOf(data), after);
    return Object.keys(merge).length === 0 ? undefined : { merge };
  } catch {
    return { text: typed };
  }
}

/** `editable` with a draft applied. */
export function textOf(data: JsonObject, draft: Draft | undefined): string {
  if (draft === undefined) return editable(data);
  return "text" in draft ? draft.text : JSON.stringify(mergePatch(recordOf(data), draft.merge), null, 2);
}

/** The draft with another field set, by a path such as `company.department`; undefined if nothing differs. */
export function withField(
  data: JsonObject,
  draft: Draft | undefined,
  field: string,
  value: unknown,
): Draft | undefined {
  const merge = draft !== undefined && "merge" in draft ? draft.merge : {};
  const before = recordOf(data);
  const after = mergePatch(before, set(merge, field.split("."), value)) as JsonObject;
  const changes = diff(before, after);
  return Object.keys(changes).length === 0 ? undefined : { merge: changes };
}

export function valueAt(record: unknown, field: string): unknown {
  return field.split(".").reduce<unknown>((at, key) => isExactObject(at) ? at[key] : undefined, record);
}

/** The corrected record, if the draft yields one, or why the draft can't be used. */
type Preview = { readonly record: JsonObject | undefined } | { readonly unusable: string };

/** Previews a draft without calling the API; only the API can validate it. Masked values read `***`. */
export function preview(data: JsonObject, draft: Draft | undefined): Preview {
  if (draft !== undefined && "text" in draft && !isLine(data)) return { unusable: "no JSON object" };
  const change = draft === undefined
    ? {}
    : "text" in draft
    ? { text: draft.text }
    : { merge: draft.merge as Patch["merge"] };
  const corrected = correctedRecord(JSON.stringify(data), { line: 1, ...change });
  if ("problem" in corrected) return { unusable: corrected.problem };
  try {
    const record = parseExact(corrected.line);
    return { record: isExactObject(record) ? record : undefined };
  } catch {
    return { record: undefined };
  }
}

export function patchOf(recordId: string, draft: Draft): RecordPatch {
  return "text" in draft ? { recordId, text: draft.text } : { recordId, patch: draft.merge };
}

/** The JSON Merge Patch (RFC 7396) from `before` to `after`; it leaves out equal values, so that masked ones stay. */
export function diff(before: JsonObject, after: JsonObject): JsonObject {
  const changes: [string, unknown][] = [];
  for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) changes.push([key, null]);
  for (const [key, value] of Object.entries(after)) {
    const known = Object.hasOwn(before, key);
    const old = known ? before[key] : undefined;
    if (known && JSON.stringify(old) === JSON.stringify(value)) continue;
    changes.push([key, isExactObject(old) && isExactObject(value) ? diff(old, value) : value]);
  }
  return Object.fromEntries(changes);
}

function set(object: JsonObject, [key, ...below]: string[], value: unknown): JsonObject {
  const inner = object[key!];
  return {
    ...object,
    [key!]: below.length === 0 ? value : set(isExactObject(inner) ? inner : {}, below, value),
  };
}

const PAGE = 500;

/** The invalid records of a run, with one reason or all, fetched page by page on demand. @throws as `GraphqlClient.ask`. */
export async function* invalidRecords(
  api: GraphqlClient,
  runId: string,
  reason?: string,
): AsyncGenerator<InvalidRecord> {
  for (let after: string | null = null;;) {
    const answer: AnswerOf<typeof INVALID_RECORDS> = await api.ask(INVALID_RECORDS, {
      runId,
      reason,
      first: PAGE,
      after,
    });
    const { nodes, pageInfo } = answer.invalidRecords;
    yield* nodes;
    if (!pageInfo.hasNextPage) return;
    after = pageInfo.endCursor;
  }
}

/**
 * The first of those records that no run has corrected yet, and that `isWanted` accepts. @throws as
 * `GraphqlClient.ask`.
 */
export async function uncorrected(
  api: GraphqlClient,
  runId: string,
  reason: string | undefined,
  isWanted: (record: InvalidRecord) => boolean = () => true,
): Promise<InvalidRecord[]> {
  const found: InvalidRecord[] = [];
  for await (const record of invalidRecords(api, runId, reason)) {
    if (record.corrections.length === 0 && isWanted(record)) found.push(record);
    if (found.length === MOST_AT_ONCE) break;
  }
  return found;
}
