/**
 * No paging: one answer holds everything.
 *
 * @module
 */
import type { Style } from "./style.ts";

/** The first page is the last one. */
export function none(): Style {
  return { by: "none", begin: {}, places: [], request: () => ({ query: {} }), after: () => ({}) };
}
