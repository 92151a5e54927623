import { z } from "zod";
import { ApiVariables } from "../../api/config.ts";

/** `API_HOST` and `API_PORT` name the API of this machine if `ETL_API_URL` isn't set. */
export const EtlVariables = {
  ETL_API_URL: z.url({ protocol: /^https?$/, error: "wanted a URL such as http://127.0.0.1:8000" }).optional()
    .describe("The API that `deno task etl` calls. Unset: that of API_HOST and API_PORT."),
  API_HOST: ApiVariables.API_HOST,
  API_PORT: ApiVariables.API_PORT,
  API_TOKEN: ApiVariables.API_TOKEN,
  VISUAL: z.string().optional().describe("The editor for `repair`, before EDITOR."),
  EDITOR: z.string().default("vi").describe("The editor for `repair`. Default vi."),
};
