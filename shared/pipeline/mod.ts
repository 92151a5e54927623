/**
 * The language of `pipelines/NAME.ts`: a pipeline is one typed value. It contains only data, no functions, so it can be
 * hashed and shown.
 *
 * @module
 */
import * as z from "zod";

/**
 * Dotted paths to the values of a record. A list has only its own path. At most five levels, as deeper ones slow down
 * the type checker.
 */
export type Path<T, Depth extends 0[] = []> = Depth["length"] extends 5 ? never
  : T extends readonly unknown[] | Date ? never
  : T extends object
    ? { [K in keyof T & string]: K | `${K}.${Path<NonNullable<T[K]>, [...Depth, 0]>}` }[keyof T & string]
  : never;

/** The value at a path. */
export type ValueAt<T, P extends string> = P extends `${infer K}.${infer Below}`
  ? K extends keyof T ? ValueAt<NonNullable<T[K]>, Below> : never
  : P extends keyof T ? T[P]
  : never;

/** Paths whose value is a `V`: for the key, a lookup's field, a cursor. */
export type PathTo<T, V> = { [P in Path<T>]: NonNullable<ValueAt<T, P>> extends V ? P : never }[Path<T>];

/** Marks a `Secret`; it exists for the type checker only. */
declare const secretBrand: unique symbol;
/** A value from the environment, never from a file. */
export interface Secret {
  /** For the type checker alone. */
  readonly [secretBrand]: true;
}

/** Seconds, minutes, hours or days: `30s`, `5m`, `1h`, `2d`. */
export type Duration = `${number}${"s" | "m" | "h" | "d"}`;

/** A path in the body of an answer, or one of its headers (`X-WP-TotalPages`). */
export type At = string | {
  /** The header's name. */
  header: string;
};

/** How a source divides its list into pages. */
export type Paging<T> =
  | { by: "none"; total?: At }
  | { by: "offset"; offset: string; limit: string; size: number; first?: 0 | 1; total?: At }
  | {
    by: "page";
    page: string;
    first?: 0 | 1;
    size?: readonly [param: string, size: number];
    pages?: At;
    total?: At;
  }
  | { by: "cursor"; param: string; next: At; first?: string; more?: string; total?: At }
  | { by: "last"; param: string; field: PathTo<T, string | number>; more?: string; total?: At }
  | { by: "link"; next: string; total?: At }
  | { by: "link-header"; rel?: string; total?: At };

/** How requests authenticate to a source. */
export type Auth =
  | { bearer: Secret }
  | { basic: readonly [user: Secret | string, password: Secret | ""] }
  | { header: string; value: Secret }
  | { query: string; value: Secret }
  | {
    oauth2: {
      token: `https://${string}` | `http://${string}`;
      id: Secret;
      secret: Secret;
      scope?: string;
    };
  };

/** Where records come from. */
export interface Source<T> {
  /** Its address. */
  url: string;
  /** Sent with every request, except to links of the source. */
  query?: Record<string, string | number>;
  /** Sent to the source's own origins only. */
  headers?: Record<string, string>;
  /** Sent to the source's own origins only. */
  auth?: Auth;
  /** Path of the list in an answer; unset: the answer is the list. */
  records?: string;
  /** How the list is divided. */
  paging: Paging<T>;
  /** Requests only changes; `{}` stands for the value. */
  since?: {
    field: PathTo<T, string | number>;
    from: string | number;
    send: Record<string, string>;
    until?: Record<string, string>;
    overlap?: Duration;
    window?: Duration;
  };
  /** Other origins that links and redirects may lead to. */
  origins?: readonly string[];
  /** A path whose presence (and not null) makes an answer an error even if its status is 200. */
  error?: string;
  /** Status codes that mean an empty list. */
  empty?: readonly number[];
  /** Maximum number of requests per second. */
  rate?: number;
  /** Number of concurrent requests, if the paging allows it. Default 1. */
  concurrency?: number;
}

/** A member that is added to each valid record, from a CSV file with two columns. */
export interface Lookup<T> {
  /** The file, relative to the definitions' folder. */
  lookup: string;
  /** The column to compare with the record's value. */
  key: string;
  /** The column to add. */
  value: string;
  /** The path of the record's value. */
  by: PathTo<T, string>;
  /** Added if the file lacks the value. Unset: null. */
  otherwise?: string;
}

/** A pipeline's definition. */
export interface Pipeline<S extends z.ZodObject> {
  /** Lower-case letters, digits and underscores, a letter first, at most 40 characters; it is also the file's name. */
  name: string;
  /** A cron pattern, read in TZ, or `off`, the default. */
  schedule?: string;
  /** The rules of a valid record. Keys that the schema doesn't name pass through unchanged. */
  record: S;
  /** The field that identifies a record. */
  key: PathTo<z.infer<S>, string | number>;
  /** Where records come from. */
  source: Source<z.infer<S>>;
  /** Members that are added to each valid record, by name. */
  add?: Record<string, Lookup<z.infer<S>>>;
  /** Personal fields: shown as `***` everywhere. */
  mask?: readonly Path<z.infer<S>>[];
  /** The limits beyond which a run is held for a person. */
  hold?: { invalid?: `${number}%`; shrink?: `${number}%` };
  /** How records of earlier runs are treated. */
  load?: "append" | "upsert" | "snapshot";
  /** Fields of the current table with an index. */
  index?: readonly Path<z.infer<S>>[];
  /** Where to deliver the files. */
  deliver?: { to: "sftp"; folder?: string } | "none";
}

/** The placeholder of `env` and `secret` in a definition, until a service resolves it. */
export type Placeholder = {
  readonly env: string;
  readonly fallback: string | number;
} | {
  readonly secret: string;
};

/** Types a definition by its record's schema, so that a wrong path is an error in the editor. */
export function pipeline<S extends z.ZodObject>(definition: Pipeline<S>): Pipeline<S> {
  return definition;
}

/** The value of an environment variable, or `fallback` if it isn't set. */
export function env<T extends string | number>(
  name: string,
  fallback: T,
): T extends number ? number : string {
  return { env: name, fallback } satisfies Placeholder as never;
}

/** The value of an environment variable that must be set, and is never shown. */
export function secret(name: string): Secret {
  return { secret: name } satisfies Placeholder as never;
}

/** A whole number, including 64-bit ones (`z.int()` refuses those beyond 2^53). */
export const integer: z.ZodNumber = z.number().multipleOf(1);
