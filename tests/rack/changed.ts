/**
 * Sources that have changed when a killed run is resumed.
 *
 * @module
 */
import { from, items, number, type RackCase, type Served, written } from "./case.ts";
import { numbered } from "../support/paged_source.ts";

const OFFSET = {
  records: "items",
  paging: { by: "offset", offset: "skip", limit: "limit", size: 10, total: "total" },
} as const;
const CURSOR = { records: "items", paging: { by: "cursor", param: "c", next: "next" } } as const;

/** Offsets over records that are replaced after the kill. */
const rebuilt = (later: readonly object[]) => (): Served => {
  let all: readonly object[] = from(0, 25);
  const answer: Served = ({ url }) => {
    const skip = number(url, "skip");
    return items(all.slice(skip, skip + 10), { total: all.length });
  };
  return Object.assign(answer, { meanwhile: () => void (all = later) });
};

/** Cursors that are valid for one extractor. `otherwise` responds to later ones. */
const session = (otherwise: (first: () => Response) => Response) => (): Served => {
  let session = "a";
  const page = (skip: number) =>
    items(from(skip), { next: skip + 10 < 25 ? `${session}-${skip + 10}` : null });
  const answer: Served = ({ url }) => {
    const [of, skip] = (url.searchParams.get("c") ?? `${session}-0`).split("-");
    return of === session ? page(Number(skip)) : otherwise(() => page(0));
  };
  return Object.assign(answer, { meanwhile: () => void (session = "b") });
};

const MORE = numbered(60, 101);
const FEWER = numbered(12, 101);

/** In the order of the table. */
export const CHANGED: readonly RackCase[] = [
  {
    name: "an index that is rebuilt with more records after a kill",
    seen: "Elasticsearch alias switches",
    source: OFFSET,
    serve: rebuilt(MORE),
    laterLedger: written(MORE),
    beganAgain: "it announces 60 ",
  },
  {
    name: "an index that is rebuilt with fewer records after a kill",
    seen: "Elasticsearch alias switches",
    source: OFFSET,
    serve: rebuilt(FEWER),
    laterLedger: written(FEWER),
    beganAgain: "with a total of 12, though 25 were announced before",
  },
  {
    name: "a cursor that is refused after a kill",
    seen: "Shopify page_info, Elasticsearch scroll",
    source: CURSOR,
    serve: session(() => new Response(null, { status: 410 })),
    beganAgain: "cursors and links may expire",
  },
  {
    name: "a cursor that leads to the first page after a kill",
    seen: "assistant-ui #6963",
    source: CURSOR,
    serve: session((first) => first()),
    beganAgain: "cursors and links may expire",
  },
];
