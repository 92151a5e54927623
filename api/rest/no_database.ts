import { detail } from "../json.ts";

export function noDatabase(): Response {
  return detail(503, "The database hasn't been created yet. Run the pipeline first.", { "retry-after": "5" });
}
