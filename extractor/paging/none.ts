/** No paging: one answer holds everything. */
import type { Style } from "./style.ts";

export function none(): Style {
  return { by: "none", begin: {}, places: [], request: () => ({ query: {} }), after: () => ({}) };
}
