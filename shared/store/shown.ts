/** How each pipeline's records are shown. Stored in the database, so it applies to every reader, even after a definition is removed. */
import type { FileKind } from "../contracts/names.ts";
import { deliveryFolder } from "../pipeline/load.ts";
import type { Plan } from "../pipeline/plan.ts";
import { type CurrentShape, currentShapeOf } from "./current_shape.ts";
import { type Mask, maskOf, maskOfKind } from "./mask.ts";

/** What the store keeps of a pipeline. */
export interface Shown {
  readonly name: string;
  /** Keys that it adds to valid records. */
  readonly added: readonly string[];
  /** Fields that read as `***`, with dots for nested ones. */
  readonly masked: readonly string[];
  /** Fields that have a rule. */
  readonly judged: readonly string[];
  /** The folder below the server's folder to which its files are delivered; null if they aren't. */
  readonly folder: string | null;
  /** The shape of its current state; null if it has none. */
  readonly current: CurrentShape | null;
  /** The masks for files of each kind. */
  readonly masks: Readonly<Record<FileKind, Mask>>;
}

/** A pipeline with the known keys of its records, which get the first columns. */
export interface Defined extends Shown {
  readonly keys: readonly string[];
}

/**
 * How the records of `plan` are shown: with the masks of `masked` if given, otherwise of its definition.
 *
 * @throws PermanentError for a field that can't be masked.
 */
export function shownOf(plan: Plan, masked: readonly string[] = plan.definition.mask ?? []): Defined {
  const { record, add = {} } = plan.definition;
  const judged = plan.rules.map(({ field }) => field);
  return {
    ...withMasks({
      name: plan.name,
      added: Object.keys(add),
      masked,
      judged,
      folder: deliveryFolder(plan.definition) ?? null,
      current: currentShapeOf(plan.definition),
    }),
    keys: Object.keys(record.shape),
  };
}

/** Adds the masks that follow from the masked and the ruled fields. */
export function withMasks(shown: Omit<Shown, "masks">): Shown {
  const mask = maskOf(shown.masked);
  const of = (kind: FileKind) => maskOfKind(kind, mask, shown.judged);
  return { ...shown, masks: { raw: of("raw"), processed: of("processed"), invalid: of("invalid") } };
}
