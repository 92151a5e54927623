// The next page's address in the body, a week at a time: https://www.federalregister.gov/developers/documentation/api/v1
import { z } from "zod";
import { pipeline } from "etl";

export default pipeline({
  name: "federal_register",
  schedule: "30 13 * * 1-5",
  record: z.object({
    document_number: z.string().min(1),
    title: z.string().min(1),
    type: z.enum(["Rule", "Proposed Rule", "Notice", "Presidential Document", "Uncategorized Document"]),
    publication_date: z.iso.date(),
    html_url: z.url(),
    abstract: z.string().nullable(),
    agencies: z.array(z.object({ name: z.string().optional(), raw_name: z.string() })),
  }),
  key: "document_number",
  source: {
    url: "https://www.federalregister.gov/api/v1/documents.json",
    query: { order: "oldest", per_page: 100 },
    records: "results",
    paging: { by: "link", next: "next_page_url" },
    since: {
      field: "publication_date",
      from: "2026-01-01",
      send: { "conditions[publication_date][gte]": "{}" },
      until: { "conditions[publication_date][lte]": "{}" },
      window: "7d",
      overlap: "1d",
    },
  },
  load: "upsert",
});
