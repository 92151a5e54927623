import { z } from "zod";
import {
  ChannelVariables,
  DatabaseVariables,
  list,
  LogVariables,
  PipelineVariables,
  StorageVariables,
  whole,
} from "../shared/config/variables.ts";

const hostName = z.string().regex(
  /^(\*|\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)$/,
  "wanted host names without port, such as localhost,[::1],api, or * for any",
);
const origin = z.string().refine(
  (text) => URL.canParse(text) && new URL(text).origin === text,
  "wanted origins such as http://localhost:3000, without a path",
);

// others can't be sent in the header Authorization
const TOKEN_WANTED = "wanted 16 to 1000 letters, digits and signs of ASCII, without spaces";

export const ApiVariables = {
  API_HOST: z.string().min(1).default("127.0.0.1").describe("Address to listen on. Default 127.0.0.1."),
  API_PORT: whole(0, 65535).default(8000).describe("Port to listen on; 0 takes a free one. Default 8000."),
  API_TOKEN: z.string().regex(/^[\x21-\x7e]{16,1000}$/, TOKEN_WANTED).optional().describe(
    "If set, every route except /healthz and /readyz requires it as `Authorization: Bearer`. Unset: no token is required.",
  ),
  ALLOWED_HOSTS: list().prefault("localhost,127.0.0.1,[::1],api").pipe(z.array(hostName).min(1)).describe(
    "Host names under which the API may be called, without port; * for any. Default localhost,127.0.0.1,[::1],api.",
  ),
  CORS_ORIGINS: list().prefault("http://localhost:3000").pipe(z.array(origin)).describe(
    "Origins whose pages may read answers. Default http://localhost:3000.",
  ),
  SQL_TIMEOUT_MS: whole(50, 600_000).default(5000).describe(
    "Longest run time of a query of the SQL console, in milliseconds. Default 5000.",
  ),
  SQL_MAX_ROWS: whole(1, 100_000).default(1000).describe(
    "Most rows of an answer of the SQL console. Default 1000.",
  ),
  SQL_MAX_BYTES: whole(1000, 104_857_600).default(5_242_880).describe(
    "Most bytes of an answer of the SQL console, and of any value in it. Default 5242880.",
  ),
  ...ChannelVariables,
  ...DatabaseVariables,
  SQL_DATABASE_URL: DatabaseVariables.DATABASE_URL.describe(
    "The same database as DATABASE_URL, for the SQL console: as a user that can only read the views (deno task doctor --grant). Unset, with DATABASE_URL: no console.",
  ),
  ...StorageVariables,
  ...PipelineVariables,
  ...LogVariables,
};
