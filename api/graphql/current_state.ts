import * as z from "zod";
import type { Ordered } from "../../shared/store/current_rows.ts";
import type { ReadStore } from "../../shared/store/store.ts";
import { exactJson, parseExact } from "../../shared/pipeline/exact_json.ts";
import { badInput } from "./builder.ts";
import type { Context } from "./context.ts";
import type { Fields } from "./where.ts";

export interface CurrentState {
  readonly store: ReadStore;
  readonly pipeline: string;
  readonly fields: Fields;
  readonly isKeyMasked: boolean;
}

/** Undefined before the database exists. @throws a GraphQLError if the pipeline keeps no current state. */
export async function currentStateOf(
  pipeline: string,
  { store }: Context,
): Promise<CurrentState | undefined> {
  if (store === undefined) return undefined;
  const those = await store.current.pipelines();
  if (!those.includes(pipeline)) {
    throw badInput(
      `${pipeline} has no current state, as its records are appended${
        those.length === 0 ? "" : `; wanted one of ${those.join(", ")}`
      }. Read its records.`,
    );
  }
  const searchable = await store.current.fields(pipeline);
  const masked = (await store.records.pipelines()).get(pipeline)?.masked ?? [];
  return {
    store,
    pipeline,
    fields: { searchable, masked },
    isKeyMasked: searchable.every(({ type }) => type !== undefined),
  };
}

/** @throws a GraphQLError if records can't be found by their key. */
export function refuseMaskedKey({ isKeyMasked, pipeline }: CurrentState): void {
  if (!isKeyMasked) return;
  throw badInput(
    `Cannot search ${pipeline} by its key: it is masked, and the result would reveal whether the record exists.`,
  );
}

/** The start of a page: a value to order by, and a key. */
type Place<First> = readonly [first: First, key: Ordered];

/** If the key is masked, its cursor contains the number of a record with that key instead. */
type ShownPlace<First> = readonly [first: First, key: Ordered | { readonly record: number }];

export function shownPlace<First>(
  { isKeyMasked }: CurrentState,
  [first, key]: Place<First>,
  record: number,
): ShownPlace<First> {
  return [first, isKeyMasked ? { record } : key];
}

const Value = z.union([z.string(), z.number(), z.custom<object>((value) => exactJson.isRawJSON(value))]);
const ShownKey = z.union([Value, z.strictObject({ record: z.int() })]);

/** Cursors of a current state, and of its changes. */
export const CurrentPlace = z.tuple([Value.nullable(), ShownKey]);
export const ChangePlace = z.tuple([z.int(), ShownKey]);

/** @throws a GraphQLError for a cursor whose record was removed. */
export async function placeOf<First>(
  state: CurrentState,
  cursor: ShownPlace<First> | undefined,
): Promise<Place<First> | undefined> {
  if (cursor === undefined) return undefined;
  const [first, held] = cursor;
  const key = typeof held === "object" && "record" in held ? await keyOf(state, held.record as number) : held;
  if (key === undefined) throw badInput("Cannot use the cursor: its record is no longer kept.");
  return [first, key];
}

async function keyOf({ store, pipeline }: CurrentState, record: number): Promise<Ordered | undefined> {
  const path = (await store.records.pipelines()).get(pipeline)?.current?.key ?? [];
  const text = (await store.records.unmaskedTexts(`processed_${pipeline}`, [record])).get(record);
  let value: unknown = text === undefined ? undefined : parseExact(text);
  for (const key of path) value = (value as Record<string, unknown> | undefined)?.[key];
  return Value.safeParse(value).data;
}
