// Link header, bearer token, only what changed since the last run: https://docs.github.com/rest/issues
import { z } from "zod";
import { integer, pipeline, secret } from "etl";

export default pipeline({
  name: "github_issues",
  schedule: "*/15 * * * *",
  record: z.object({
    id: integer,
    number: z.int().positive(),
    title: z.string().min(1),
    state: z.enum(["open", "closed"]),
    updated_at: z.iso.datetime(),
  }),
  key: "id",
  source: {
    url: "https://api.github.com/repos/denoland/deno/issues",
    query: { state: "all", sort: "updated", direction: "asc", per_page: 100 },
    headers: { "X-GitHub-Api-Version": "2022-11-28" },
    auth: { bearer: secret("GITHUB_TOKEN") },
    paging: { by: "link-header" },
    since: { field: "updated_at", from: "2026-01-01T00:00:00Z", send: { since: "{}" }, overlap: "5m" },
  },
  load: "upsert",
});
