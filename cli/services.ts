/**
 * How each part of the pipeline is started: its program, its variables, and the least permissions that it needs with this configuration.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ApiVariables } from "../api/config.ts";
import { ExtractorVariables } from "../extractor/config.ts";
import { SaverVariables } from "../saver/config.ts";
import { type ConfigOf, loadConfig, type Variables } from "../shared/config/config.ts";
import { type ChannelVariables, redisUrlOf } from "../shared/config/variables.ts";
import { ConfigError } from "../shared/errors/errors.ts";
import { pipelinesDir } from "../shared/pipeline/load.ts";
import { TransformerVariables } from "../transformer/config.ts";

/** The services, those that make work before those that take it. */
export const SERVICES = ["extractor", "transformer", "saver", "api"] as const;
/** The name of a service. */
export type Service = (typeof SERVICES)[number];

/** Every variable that some service reads, by service. */
export const VARIABLES = {
  extractor: ExtractorVariables,
  transformer: TransformerVariables,
  saver: SaverVariables,
  api: ApiVariables,
} satisfies Record<Service, Variables>;

/** An environment: variables and their values. */
export type Environment = Record<string, string | undefined>;

/** What is wrong with `env` for all `services`: each problem once; empty when they can start. */
export function problemsOf(services: readonly Service[], env: Environment): string[] {
  const problems = services.flatMap((service) => {
    try {
      loadConfig(service, VARIABLES[service] as Variables, env);
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
      throw error;
    }
  });
  return [...new Set(problems)];
}

/** What the extractor, say, may touch: the flags for `deno run`. @throws ConfigError when `env` can't be used. */
export function permissionsOf(service: Service, env: Environment): string[] {
  const variables: Variables = VARIABLES[service];
  const flags = (
    config: ConfigOf<typeof ChannelVariables>,
    grants: { net?: string[]; read?: string[]; write?: string[]; sys?: string[] },
  ) => {
    const redis = redisUrlOf(config);
    const queue = redis === undefined ? [dirname(config.QUEUE_PATH)] : [];
    const net = [
      ...grants.net ?? [],
      ...(redis === undefined ? [] : [hostOf(new URL(redis), 6379)]),
      ...telemetryOf(env),
    ];
    const write = [...grants.write ?? [], ...queue];
    return [
      ...(net.length === 0 ? [] : [`--allow-net=${net.join(",")}`]),
      `--allow-read=${unique([...grants.read ?? [], ...write]).join(",")}`,
      `--allow-write=${unique(write).join(",")}`,
      `--allow-env=${[...Object.keys(variables), ...LIBRARY_VARIABLES].join(",")}`,
      `--allow-sys=${["hostname", ...grants.sys ?? []].join(",")}`,
    ];
  };
  switch (service) {
    case "extractor": {
      const config = loadConfig(service, VARIABLES.extractor, env);
      return flags(config, { net: [hostOf(new URL(config.API_BASE_URL), 443)], write: [config.DATA_DIR] });
    }
    case "transformer": {
      const config = loadConfig(service, VARIABLES.transformer, env);
      return flags(config, {
        read: [
          pipelinesDir(config.PIPELINES_DIR),
          ...(config.LOOKUP_FILE === undefined ? [] : [config.LOOKUP_FILE]),
        ],
        write: [config.DATA_DIR],
      });
    }
    case "saver": {
      const config = loadConfig(service, VARIABLES.saver, env);
      return flags(config, {
        net: config.SFTP_HOST === undefined ? [] : [`${config.SFTP_HOST}:${config.SFTP_PORT}`],
        read: [
          config.DATA_DIR,
          pipelinesDir(config.PIPELINES_DIR),
          config.SFTP_KEY_PATH,
          config.SFTP_KNOWN_HOSTS,
          ...["saver", "shared"].map(programPath), // the workers' program
        ],
        write: [
          dirname(config.DB_PATH),
          ...(config.SFTP_ENCRYPT_TO || config.RETENTION_DAYS ? [config.DATA_DIR] : []),
          ...(config.SFTP_HOST_KEY_POLICY === "accept-new" ? [dirname(config.SFTP_KNOWN_HOSTS)] : []),
        ],
        sys: ["statfs"], // a load asks for its space first
      });
    }
    case "api": {
      const config = loadConfig(service, VARIABLES.api, env);
      return [
        ...flags(config, {
          net: [`${config.API_HOST}:${config.API_PORT}`],
          read: [config.DATA_DIR, programPath("api")],
          write: [`${config.DATA_DIR}/state`, dirname(config.DB_PATH)],
        }),
        `--allow-run=${Deno.execPath()}`,
      ];
    }
  }
}

/** The path of a program of ours, such as `saver/main.ts`: the working directory may be another one. */
export function programPath(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}

/**
 * How V8 keeps its heap. It would let the space for young objects grow to 32 MB under a stream of records, and the rest to four times of what is in
 * use, before it frees anything. docs/performance.md has the figures.
 */
export const HEAP = "--v8-flags=--max-semi-space-size=2,--heap-growing-percent=150";

/** The arguments for `deno` that start `service`. @throws ConfigError when `env` can't be used. */
export function commandOf(service: Service, env: Environment, args: readonly string[] = []): string[] {
  return [
    "run",
    "--cached-only",
    "--no-prompt",
    HEAP,
    ...permissionsOf(service, env),
    programPath(`${service}/main.ts`),
    ...args,
  ];
}

/** Variables that libraries look at; refused, a missing one would stop them. */
const LIBRARY_VARIABLES = ["NODE_ENV", "REDIS_DEBUG_MAINTENANCE", "REDIS_EMIT_DIAGNOSTICS"];

function hostOf(url: URL, defaultPort: number): string {
  return `${url.hostname}:${url.port || (url.protocol === "http:" ? 80 : defaultPort)}`;
}

function telemetryOf(env: Environment): string[] {
  if (env.OTEL_DENO !== "true") return [];
  return [hostOf(new URL(env.OTEL_EXPORTER_OTLP_ENDPOINT ?? "http://localhost:4318"), 443)];
}

function unique(paths: string[]): string[] {
  return [...new Map(paths.map((path) => [resolve(path), path])).values()];
}
