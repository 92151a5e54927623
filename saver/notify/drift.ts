import { z } from "zod";
import { FieldTypes } from "../../shared/contracts/messages.ts";
import type { RunEvent } from "../../shared/contracts/messages.ts";

interface Drift {
  readonly added: string[];
  readonly gone: string[];
  readonly changed: { field: string; before: string[]; now: string[] }[];
}

/**
 * The fields and their JSON types, as a run's transform reported them; undefined if it reported none, or had no
 * records.
 */
export function fieldsOf(event: RunEvent | undefined): FieldTypes[] | undefined {
  if (event?.type !== "phase_completed" || event.phase !== "TRANSFORMING") return undefined;
  const { data: types } = z.array(FieldTypes).min(1).safeParse(event.detail.types);
  return types;
}

/**
 * How `now` differs from `before`. A field has changed its type if it has values of a type that it lacked, or only
 * `null` although it had no `null` before. A field that could be `null` may lose all its values, or those of one of its
 * types.
 */
export function driftOf(before: readonly FieldTypes[], now: readonly FieldTypes[]): Drift {
  const earlier = new Map(before.map(({ field, types }) => [field, types]));
  const later = new Map(now.map(({ field, types }) => [field, types]));
  return {
    added: [...later.keys()].filter((field) => !earlier.has(field)),
    gone: [...earlier.keys()].filter((field) => !later.has(field)),
    changed: [...later].flatMap(([field, types]) => {
      const had = earlier.get(field);
      return had !== undefined && isOther(had, types) ? [{ field, before: had, now: types }] : [];
    }),
  };
}

function isOther(had: readonly string[], has: readonly string[]): boolean {
  const values = (types: readonly string[]) => types.filter((type) => type !== "null");
  if (values(has).length === 0) return !had.includes("null");
  // a field that never had a value can't lose a type
  return values(had).length > 0 && values(has).some((type) => !had.includes(type));
}
