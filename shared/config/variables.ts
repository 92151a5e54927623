import { isIP } from "node:net";
import { z } from "zod";
import { ConfigError } from "../errors/errors.ts";
import type { FilesPlace } from "../files/open.ts";
import type { S3Place } from "../files/s3/place.ts";
import type { StorePlace } from "../store/open.ts";
import type { ConfigOf } from "./config.ts";

/** A whole number between `min` and `max`, read from text. */
export function whole(min: number, max: number): z.ZodType<number> {
  const wanted = `wanted a whole number from ${min} to ${max}`;
  return z.string().regex(/^[+-]?\d+$/, wanted).transform(Number).pipe(
    z.number(wanted).min(min, wanted).max(max, wanted),
  );
}

/** Items separated by commas; spaces around them are dropped, and so are empty items. */
export function list(): z.ZodType<string[]> {
  return z.string().transform((text) =>
    text.split(",").map((item) => item.trim()).filter((item) => item !== "")
  );
}

/** A path of a folder or file, relative to the working directory or absolute. */
export function path(): z.ZodType<string> {
  return z.string().min(1).refine((text) => !text.includes("\0"), "wanted a path");
}

/** Where the channel is: in Redis if it is configured, else in the embedded queue file. */
export const ChannelVariables = {
  REDIS_URL: z.url({
    protocol: /^rediss?$/,
    error: "wanted redis://[user:password@]host[:port][/db], or rediss:// for TLS",
  }).optional()
    .describe(
      "Redis server; takes precedence over REDIS_HOST. Unset, and REDIS_HOST too: the embedded queue file is used.",
    ),
  REDIS_HOST: z.string().min(1).optional().describe(
    "Redis server's host name, used with REDIS_PORT. Unset: the embedded queue file is used.",
  ),
  REDIS_PORT: whole(1, 65535).default(6379).describe("Redis server's port. Default 6379."),
  QUEUE_PATH: path().default("database/queue.db").describe(
    "File of the embedded queue. Default database/queue.db.",
  ),
};

/** How an actor treats its messages. */
export const ActorVariables = {
  LEASE_SECONDS: whole(1, 3_600).default(30).describe(
    "Seconds after which another process takes over the message of a dead one, 1 to 3600. Default 30.",
  ),
};

const DATABASE_WANTED =
  "wanted postgres://USER:PASSWORD@HOST[:PORT]/DATABASE[?sslmode=verify-full], with special characters such as / and # as %2F and %23";

function isDatabase(text: string): boolean {
  try {
    const { protocol, username, password, hostname, pathname } = new URL(text);
    [username, password, pathname].forEach(decodeURIComponent);
    return /^postgres(ql)?:$/.test(protocol) && username !== "" && !hostname.includes("%") &&
      pathname.length > 1;
  } catch {
    return false;
  }
}

/** The database that machines share. */
export const DatabaseVariables = {
  DATABASE_URL: z.string().refine(isDatabase, DATABASE_WANTED).optional()
    .describe(
      "PostgreSQL database for runs, records, and the extractor's checkpoints and locks, so that another machine can resume the run of a dead one. Unset: they are in DB_PATH and in DATA_DIR/state.",
    ),
};

/** Where files and database are. */
export const StorageVariables = {
  DATA_DIR: path().refine(
    (text) => !text.startsWith("/") && !text.split("/").includes(".."),
    "wanted a folder below the working directory, as messages name files relative to it",
  ).default("data").describe(
    "Folder of raw, processed and dead-letter files, below the working directory. Default data.",
  ),
  DB_PATH: path().default("database/data.db").describe(
    "SQLite database file, used without DATABASE_URL. Default database/data.db.",
  ),
};

function isEndpoint(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.href === `${url.origin}${url.pathname}`;
}

/** Where the files of runs are: in a store if it is configured, else in `DATA_DIR`. */
export const FilesVariables = {
  DATA_DIR: StorageVariables.DATA_DIR,
  FILES_URL: z.string().regex(
    /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/(?!\.\.?(\/|$))[A-Za-z0-9._-]+)*\/?$/,
    "wanted s3://BUCKET or s3://BUCKET/PREFIX",
  ).optional().describe(
    "Bucket of an S3-compatible store for raw, processed and dead-letter files, as s3://BUCKET/PREFIX, the same for all services. Unset: they are in DATA_DIR.",
  ),
  S3_ENDPOINT: z.string().refine(
    isEndpoint,
    "wanted an address without user, password and parameters, such as https://s3.example.com",
  ).optional().describe("Address of the store. Unset: Amazon's, in S3_REGION."),
  S3_REGION: z.string().regex(/^[a-z0-9-]+$/, "wanted a region such as eu-west-1").default("us-east-1")
    .describe(
      "Region of the bucket. Default us-east-1.",
    ),
  S3_PATH_STYLE: z.enum(["true", "false"], { error: "wanted true or false" }).optional().describe(
    "Whether the bucket is named in the path (true), or in the host name. Unset: true with S3_ENDPOINT, false without.",
  ),
  AWS_ACCESS_KEY_ID: z.string().min(1).optional().describe(
    "Access key with permission to read, write, list and remove below FILES_URL.",
  ),
  AWS_SECRET_ACCESS_KEY: z.string().min(1).optional().describe("The access key's secret."),
  AWS_SESSION_TOKEN: z.string().min(1).optional().describe(
    "The access key's session token, if it is a temporary one.",
  ),
};

/**
 * The folder or bucket that the configuration names. @throws ConfigError if a bucket is named without its credentials.
 */
export function filesPlaceOf(config: ConfigOf<typeof FilesVariables>): FilesPlace {
  return s3PlaceOf(config) ?? { folder: config.DATA_DIR };
}

/** Where runs and records are stored, according to the configuration. */
export function storePlaceOf(
  { DATABASE_URL, DB_PATH }: { readonly DATABASE_URL?: string | undefined; readonly DB_PATH: string },
): StorePlace {
  return DATABASE_URL === undefined ? { path: DB_PATH } : { url: DATABASE_URL };
}

/** The bucket that the configuration names, if any. @throws as `filesPlaceOf`. */
export function s3PlaceOf(config: ConfigOf<typeof FilesVariables>): S3Place | undefined {
  const { FILES_URL, S3_ENDPOINT, S3_REGION: region, S3_PATH_STYLE } = config;
  if (FILES_URL === undefined) return undefined;
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = config;
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new ConfigError(
      "it",
      Object.entries({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey })
        .filter(([, value]) => value === undefined)
        .map(([name]) => `${name} is unset: wanted one that may use ${FILES_URL}`),
    );
  }
  const pathStyle = S3_PATH_STYLE === undefined ? S3_ENDPOINT !== undefined : S3_PATH_STYLE === "true";
  if (
    !pathStyle && S3_ENDPOINT !== undefined && isIP(new URL(S3_ENDPOINT).hostname.replace(/^\[|\]$/g, ""))
  ) {
    throw new ConfigError("it", [
      `S3_PATH_STYLE is "false": wanted true, as no bucket can be named before the IP address of S3_ENDPOINT`,
    ]);
  }
  const [, bucket, prefix] = /^s3:\/\/([^/]+)\/?(.*?)\/?$/.exec(FILES_URL)!;
  return {
    bucket: bucket!,
    prefix: prefix!,
    endpoint: S3_ENDPOINT ?? `https://s3.${region}.amazonaws.com`,
    region,
    accessKeyId,
    secretAccessKey,
    sessionToken: config.AWS_SESSION_TOKEN,
    pathStyle,
  };
}

/** Where the pipelines' definitions are. */
export const PipelineVariables = {
  PIPELINES_DIR: path().optional().describe(
    "Folder of the pipelines' definitions, one NAME.ts each, below the working directory; its sub-folders are not read. Unset: pipelines of this program.",
  ),
};

/** What is masked before a person or program sees it. */
export const MaskVariables = {
  MASK_FIELDS: list().optional().describe(
    "Fields of users, with dots for nested ones, that read as *** through views and API. Default: those of pipelines/users.ts.",
  ),
};

export const LogVariables = {
  LOG_LEVEL: z.enum(["trace", "debug", "info", "warning", "error", "fatal"], {
    error: "wanted trace, debug, info, warning, error or fatal",
  }).default("info").describe("Lowest level to log. Default info."),
  LOG_FORMAT: z.enum(["auto", "pretty", "json"], { error: "wanted auto, pretty or json" }).default("auto")
    .describe(
      "pretty, json (one object a line), or auto: pretty on a terminal, json elsewhere. Default auto.",
    ),
};

/** The Redis address that the configuration names, if any. */
export function redisUrlOf(
  config: { REDIS_URL?: string | undefined; REDIS_HOST?: string | undefined; REDIS_PORT: number },
): string | undefined {
  if (config.REDIS_URL !== undefined) return config.REDIS_URL;
  return config.REDIS_HOST === undefined ? undefined : `redis://${config.REDIS_HOST}:${config.REDIS_PORT}`;
}
