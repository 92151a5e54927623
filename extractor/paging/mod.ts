/** The styles of paging, by their names in definitions. */
import type { Paging } from "../../shared/pipeline/mod.ts";
import { cursor } from "./cursor.ts";
import { last } from "./last.ts";
import { link, linkHeader } from "./link.ts";
import { none } from "./none.ts";
import { offset } from "./offset.ts";
import { page } from "./page.ts";
import type { Style } from "./style.ts";

// deno-lint-ignore no-explicit-any
export type AnyPaging = Paging<any>;
export type PagingBy<By extends AnyPaging["by"]> = Extract<AnyPaging, { by: By }>;

export function styleOf(paging: AnyPaging): Style {
  switch (paging.by) {
    case "none":
      return none(paging);
    case "offset":
      return offset(paging);
    case "page":
      return page(paging);
    case "cursor":
      return cursor(paging);
    case "last":
      return last(paging);
    case "link":
      return link(paging);
    case "link-header":
      return linkHeader(paging);
  }
}
