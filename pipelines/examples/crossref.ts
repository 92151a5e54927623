// A cursor that begins with "*" and never ends, so the announced total says when: https://api.crossref.org/swagger-ui
import { z } from "zod";
import { env, integer, pipeline } from "etl";

export default pipeline({
  name: "crossref",
  schedule: "0 4 * * *",
  record: z.object({
    DOI: z.string().regex(/^10\./, "no DOI"),
    type: z.string(),
    title: z.array(z.string()),
    publisher: z.string(),
    "is-referenced-by-count": integer.min(0),
    indexed: z.object({ "date-time": z.iso.datetime() }),
    author: z.unknown().optional(),
  }),
  key: "DOI",
  source: {
    url: "https://api.crossref.org/works",
    query: { rows: 500, mailto: env("CROSSREF_MAILTO", "nobody@example.org") },
    records: "message.items",
    paging: {
      by: "cursor",
      param: "cursor",
      next: "message.next-cursor",
      first: "*",
      total: "message.total-results",
    },
    since: { field: "indexed.date-time", from: "2026-01-01", send: { filter: "from-index-date:{}" } },
    rate: 5,
  },
  mask: ["author"],
  load: "upsert",
});
