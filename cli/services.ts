/**
 * How each part of the pipeline is started: its program, its variables, and the least permissions that it needs with
 * this configuration.
 */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ApiVariables } from "../api/config.ts";
import { ExtractorVariables } from "../extractor/config.ts";
import type { AnySource } from "../extractor/source.ts";
import { notifyOptionsOf, SaverVariables } from "../saver/config.ts";
import { type ConfigOf, loadConfig, type Variables } from "../shared/config/config.ts";
import {
  type ChannelVariables,
  type FilesVariables,
  redisUrlOf,
  s3PlaceOf,
} from "../shared/config/variables.ts";
import { ConfigError } from "../shared/errors/errors.ts";
import { addressOf } from "../shared/files/s3/place.ts";
import { loadPipelines, type Pipelines, pipelinesDir } from "../shared/pipeline/load.ts";
import { type ReadEnv, resolved, variablesOf } from "../shared/pipeline/resolve.ts";
import { TransformerVariables } from "../transformer/config.ts";

/** The services, producers before consumers. */
export const SERVICES = ["extractor", "transformer", "saver", "api"] as const;
/** The name of a service. */
export type Service = (typeof SERVICES)[number];

/** Every variable that a service reads, by service. */
export const VARIABLES = {
  extractor: ExtractorVariables,
  transformer: TransformerVariables,
  saver: SaverVariables,
  api: ApiVariables,
} satisfies Record<Service, Variables>;

/** An environment: variables and their values. */
export type Environment = Record<string, string | undefined>;

/** The problems of `env` for all `services`, without duplicates; empty if they can start. */
export function problemsOf(services: readonly Service[], env: Environment): string[] {
  const problems = services.flatMap((service) => {
    try {
      const config = loadConfig(service, VARIABLES[service] as Variables, env);
      if (service === "saver") notifyOptionsOf(config as ConfigOf<typeof SaverVariables>);
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
      throw error;
    }
  });
  return [...new Set(problems)];
}

/** The pipelines of the folder that `env` names. @throws ConfigError when it can't be read. */
export function pipelinesOf(env: Environment): Promise<Pipelines> {
  return loadPipelines(pipelinesDir(env.PIPELINES_DIR || undefined));
}

/**
 * The permissions of a service: the flags for `deno run`. Only the extractor may reach the sources of `pipelines`, and
 * read the variables that their definitions name. @throws ConfigError when `env` is unusable.
 */
export function permissionsOf(service: Service, env: Environment, pipelines: Pipelines): string[] {
  const variables: Variables = VARIABLES[service];
  const flags = (
    config: ConfigOf<typeof ChannelVariables>,
    grants: { net: Grants; read: Grants; write: Grants; env?: string[] },
  ) => {
    const redis = redisUrlOf(config);
    const queue = redis === undefined ? dirname(config.QUEUE_PATH) : undefined;
    const net = new Set(present([...grants.net, hostAt(redis, 6379), telemetryOf(env)]));
    const write = present([...grants.write, queue]);
    const names = new Set([...Object.keys(variables), ...grants.env ?? [], ...LIBRARY_VARIABLES]);
    return [
      ...(net.size === 0 ? [] : [`--allow-net=${[...net].join(",")}`]),
      `--allow-read=${unique([...present(grants.read), ...write]).join(",")}`,
      ...(write.length === 0 ? [] : [`--allow-write=${unique(write).join(",")}`]),
      `--allow-env=${[...names].join(",")}`,
      "--allow-sys=hostname,statfs", // statfs: writers check the free space first
    ];
  };
  const plans = [...pipelines.plans.values()];
  switch (service) {
    case "extractor": {
      const config = loadConfig(service, VARIABLES.extractor, env);
      return flags(config, {
        net: [
          ...plans.flatMap(({ definition }) => hostsOf(definition.source, (name) => env[name])),
          storeOf(config),
          databaseAt(config.DATABASE_URL),
        ],
        read: [pipelinesDir(config.PIPELINES_DIR), authorityOf(config.DATABASE_URL)],
        write: [
          filesIn(config) ?? (config.DATABASE_URL === undefined ? `${config.DATA_DIR}/state` : undefined),
        ],
        env: plans.flatMap(({ definition: { source, schedule } }) => variablesOf([source, schedule])),
      });
    }
    case "transformer": {
      const config = loadConfig(service, VARIABLES.transformer, env);
      return flags(config, {
        net: [storeOf(config)],
        read: [pipelinesDir(config.PIPELINES_DIR), config.LOOKUP_FILE],
        write: [filesIn(config)],
        env: plans.flatMap(({ definition: { add } }) => variablesOf(add)),
      });
    }
    case "saver": {
      const config = loadConfig(service, VARIABLES.saver, env);
      return flags(config, {
        net: [
          config.SFTP_HOST === undefined ? undefined : `${config.SFTP_HOST}:${config.SFTP_PORT}`,
          storeOf(config),
          databaseAt(config.DATABASE_URL),
          ...notifyOptionsOf(config).receivers.map(({ url }) => hostAt(url, 443)),
        ],
        read: [
          filesIn(config),
          pipelinesDir(config.PIPELINES_DIR),
          config.SFTP_KEY_PATH,
          config.SFTP_KNOWN_HOSTS,
          authorityOf(config.DATABASE_URL),
          ...["saver", "shared"].map(programPath), // the workers' program
        ],
        write: [
          folderOf(config),
          config.SFTP_ENCRYPT_TO || config.RETENTION_DAYS ? filesIn(config) : undefined,
          config.SFTP_HOST_KEY_POLICY === "accept-new" ? dirname(config.SFTP_KNOWN_HOSTS) : undefined,
        ],
        env: plans.flatMap(({ definition: { schedule } }) => variablesOf(schedule)),
      });
    }
    case "api": {
      const config = loadConfig(service, VARIABLES.api, env);
      return [
        ...flags(config, {
          net: [
            `${config.API_HOST}:${config.API_PORT}`,
            databaseAt(config.DATABASE_URL),
            databaseAt(config.SQL_DATABASE_URL),
          ],
          read: [
            config.DATA_DIR,
            pipelinesDir(config.PIPELINES_DIR),
            programPath("api"),
            authorityOf(config.DATABASE_URL),
            authorityOf(config.SQL_DATABASE_URL),
          ],
          write: [`${config.DATA_DIR}/state`, folderOf(config)],
          env: [
            "TZ",
            "SLEEP_INTERVAL_SECONDS",
            ...plans.flatMap(({ definition }) => variablesOf(definition.schedule)),
          ],
        }),
        `--allow-run=${Deno.execPath()}`,
      ];
    }
  }
}

/** The path of a program of this project, such as `saver/main.ts`: the working directory may be another one. */
export function programPath(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}

/**
 * V8 flags that limit a service's heap. By default V8 lets the space for young objects grow to 32 MB under a stream of
 * records. The rest may grow to four times the memory in use before V8 frees anything. The saver has three heaps, one
 * for each thread, so its limits are smaller. docs/performance.md has the figures.
 */
export function heapOf(service: Service): string {
  const [youngMb, growingPercent] = service === "saver" ? [1, 25] : [2, 150];
  return `--v8-flags=--max-semi-space-size=${youngMb},--heap-growing-percent=${growingPercent}`;
}

/** The arguments for `deno` that start `service`. @throws ConfigError when `env` is unusable. */
export function commandOf(
  service: Service,
  env: Environment,
  pipelines: Pipelines,
  args: readonly string[] = [],
): string[] {
  return [
    "run",
    "--cached-only",
    "--no-prompt",
    heapOf(service),
    ...permissionsOf(service, env, pipelines),
    programPath(`${service}/main.ts`),
    ...args,
  ];
}

/** Hosts or paths; unset ones are skipped. */
type Grants = readonly (string | undefined)[];

function present(grants: Grants): string[] {
  return grants.filter((grant) => grant !== undefined);
}

/** Variables that libraries read; without permission, they would fail even if the variable isn't set. */
const LIBRARY_VARIABLES = [
  ...["NODE_ENV", "REDIS_DEBUG_MAINTENANCE", "REDIS_EMIT_DIAGNOSTICS"],
  ...["PGAPPNAME", "PGPASSWORD", "PGTARGETSESSIONATTRS"],
];

/** The hosts of a source; none if its variables are unusable, as its pipeline isn't run. */
function hostsOf(source: AnySource, readEnv: ReadEnv): string[] {
  const { value, problems } = resolved(source, readEnv, "source");
  if (problems.length > 0) return [];
  const { url, origins = [], auth } = value;
  const addresses = [url, ...origins, ...auth !== undefined && "oauth2" in auth ? [auth.oauth2.token] : []];
  return present(addresses.map((address) => hostAt(address, 443)));
}

/**
 * The variables of `env` that `service` is started with. Only the extractor gets the secrets of the pipelines' sources,
 * and only the saver those of notifications. Addresses of databases are given only to the services that use them.
 */
export function environmentOf(service: Service, env: Environment, { plans }: Pipelines): Environment {
  const secrets = new Set([
    "NOTIFY_URL",
    "NOTIFY_SECRET",
    "DATABASE_URL",
    "SQL_DATABASE_URL",
    ...(service === "extractor" ? [] : [
      "AWS_SECRET_ACCESS_KEY",
      "AWS_SESSION_TOKEN",
      ...[...plans.values()].flatMap(({ definition }) => variablesOf(definition.source)),
    ]),
  ]);
  for (const name of Object.keys(VARIABLES[service])) secrets.delete(name);
  return { ...env, ...Object.fromEntries([...secrets].map((name) => [name, undefined])) };
}

/** The PostgreSQL server, if there is one. */
function databaseAt(url: string | undefined): string | undefined {
  return hostAt(url, 5432);
}

/** The file of certificate authorities for the server's certificate, if one is named. */
function authorityOf(url: string | undefined): string | undefined {
  return url === undefined ? undefined : new URL(url).searchParams.get("sslrootcert") ?? undefined;
}

/** The folder of the SQLite database, if that is used. */
function folderOf(config: { DATABASE_URL: string | undefined; DB_PATH: string }): string | undefined {
  return config.DATABASE_URL === undefined ? dirname(config.DB_PATH) : undefined;
}

/** The folder of the files, unless they are in a store. */
function filesIn(config: ConfigOf<typeof FilesVariables>): string | undefined {
  return config.FILES_URL === undefined ? config.DATA_DIR : undefined;
}

/** The store of the files, if there is one. */
function storeOf(config: ConfigOf<typeof FilesVariables>): string | undefined {
  const place = s3PlaceOf(config);
  return hostAt(place && addressOf(place).href, 443);
}

function hostAt(address: string | undefined, defaultPort: number): string | undefined {
  if (address === undefined) return undefined;
  const url = new URL(address);
  return `${url.hostname}:${url.port || (url.protocol === "http:" ? 80 : defaultPort)}`;
}

function telemetryOf(env: Environment): string | undefined {
  if (env.OTEL_DENO !== "true") return undefined;
  return hostAt(env.OTEL_EXPORTER_OTLP_ENDPOINT ?? "http://localhost:4318", 443);
}

function unique(paths: string[]): string[] {
  return [...new Map(paths.map((path) => [resolve(path), path])).values()];
}
