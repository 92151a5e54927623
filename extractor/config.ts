import { z } from "zod";
import {
  ActorVariables,
  ChannelVariables,
  DatabaseVariables,
  FilesVariables,
  LogVariables,
  PipelineVariables,
  whole,
} from "../shared/config/variables.ts";
import { scheduleVariables } from "../shared/config/schedule.ts";
import users from "../pipelines/users.ts";

/** Fractions are allowed. */
function seconds(min: number, max: number): z.ZodType<number, string> {
  const wanted = `wanted seconds from ${min} to ${max}`;
  return z.string().regex(/^\d+(\.\d+)?$/, wanted).transform(Number).pipe(
    z.number().min(min, wanted).max(max, wanted),
  );
}

function fallbackOf(placeholder: unknown): string {
  return String((placeholder as { fallback: unknown }).fallback);
}

const { source, schedule } = users;
const ADDRESS = fallbackOf(source.url);

/** Every variable that the extractor reads, apart from those that definitions name. */
export const ExtractorVariables = {
  API_BASE_URL: z.url({
    protocol: /^https?$/,
    error: `wanted an address such as ${ADDRESS}`,
  }).default(ADDRESS).describe(`The source of users. Default ${ADDRESS}.`),
  BATCH_SIZE: whole(1, 10_000).default(100).describe("Users per page, 1 to 10000. Default 100."),
  ...scheduleVariables(schedule),
  SCHEDULE_CATCH_UP_HOURS: whole(0, 8_760).default(24).describe(
    "A planned time that passed while no extractor ran is caught up once at start, if it is not older than this many hours; 0: never. Default 24.",
  ),
  RUN_ON_START: z.enum(["if-none", "always", "never"], { error: "wanted if-none, always or never" }).default(
    "if-none",
  ).describe(
    "A run when the service starts: if-none (when none has completed), always, never. Default if-none.",
  ),
  HTTP_TIMEOUT_SECONDS: seconds(0.05, 3_600).default(10).describe(
    "Seconds that a whole page may take, headers and body. Default 10.",
  ),
  MAX_RETRIES: whole(0, 100).default(3).describe("Retries of a failed page. Default 3."),
  RETRY_DELAYS_SECONDS: z.string().transform((text) => text.split(",").map((item) => item.trim())).pipe(
    z.array(seconds(0, 86_400)).min(1),
  ).prefault("5,15,45").describe(
    "Seconds before each further try, separated by commas; the last one is repeated. Default 5,15,45.",
  ),
  MAX_RESPONSE_BYTES: whole(1_024, 1_073_741_824).default(52_428_800).describe(
    "Longest page, in bytes after decompression. Default 52428800 (50 MiB).",
  ),
  RESUME_MAX_AGE_HOURS: whole(1, 8_760).default(24).describe(
    "An unfinished run that began more hours ago is begun again instead of resumed, as its records would come from two times. Default 24.",
  ),
  MAX_PARALLEL: whole(1, 64).default(4).describe(
    "Pipelines extracted at the same time, 1 to 64; of one pipeline always one run. Default 4.",
  ),
  ...ActorVariables,
  ...ChannelVariables,
  ...FilesVariables,
  ...DatabaseVariables,
  ...PipelineVariables,
  ...LogVariables,
};
