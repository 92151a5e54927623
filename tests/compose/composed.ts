/**
 * The pipeline in containers, from a copy of the project in a temporary folder.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { pause } from "../../shared/actor/backoff.ts";
import { freePort } from "../support/free_port.ts";
import { run, runIn } from "./run.ts";

/** The part of the output of `docker inspect` that the test reads. */
export interface Container {
  readonly Id: string;
  readonly Name: string;
  /** How often Docker has restarted it. */
  readonly RestartCount: number;
  readonly State: {
    readonly Status: string;
    readonly ExitCode: number;
    readonly Health?: { readonly Status: string };
  };
  readonly HostConfig: {
    readonly ReadonlyRootfs: boolean;
    readonly CapDrop: readonly string[] | null;
    readonly CapAdd: readonly string[] | null;
    readonly SecurityOpt: readonly string[] | null;
    readonly Memory: number;
    readonly PortBindings: Readonly<Record<string, readonly { readonly HostIp: string }[]>>;
  };
  readonly NetworkSettings: {
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>>;
  };
  readonly Config: { readonly Labels: Readonly<Record<string, string>> };
}

/** A run's row in the database. */
export interface RunRow {
  readonly run_id: string;
  readonly status: string;
  /** The state of its delivery; null before the delivery starts. */
  readonly delivery_state: string | null;
  /** Path of its raw file, relative to the project's folder. */
  readonly raw_file: string | null;
  /** Path of the file with its valid records, likewise. */
  readonly processed_file: string | null;
  /** Path of the file with its invalid records, likewise. */
  readonly dlq_file: string | null;
  /** Number of valid records; null before the load. */
  readonly valid_count: number | null;
  /** Number of invalid records; null before the load. */
  readonly invalid_count: number | null;
}

/** The longest wait for something that usually takes seconds, in milliseconds. */
const PATIENCE_MS = 240_000;

/** Waits until `look` returns a value. @throws Error with `what` and the last failure after `withinMs`. */
export async function until<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  withinMs: number = PATIENCE_MS,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (let failure: unknown;;) {
    try {
      const found = await look();
      if (found !== undefined) return found;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`Waited ${withinMs / 1000} s in vain: ${what}.`, { cause: failure });
    }
    await pause(50);
  }
}

/**
 * The project under Docker Compose. Disposing of it removes containers, volumes, networks, the image and the
 * folder.
 */
export class Composed implements AsyncDisposable {
  /** Variables for `docker-compose`. Changes apply from the next command on. */
  readonly env: Record<string, string>;

  private constructor(
    readonly folder: string,
    /** The API's port on 127.0.0.1. */
    readonly apiPort: number,
    /** The SFTP server's port on 127.0.0.1. */
    readonly sftpPort: number,
    dockerHost: string | undefined,
    private readonly command: readonly [string, ...string[]],
    env: Readonly<Record<string, string>>,
  ) {
    this.env = {
      COMPOSE_PROJECT_NAME: PROJECT,
      COMPOSE_FILE: "docker-compose.yml:tests/compose/override.yml",
      API_PORT: `${apiPort}`,
      SFTP_BIND_PORT: `${sftpPort}`,
      DOCKER_BUILDKIT: "0",
      COMPOSE_DOCKER_CLI_BUILD: "0",
      ...(dockerHost === undefined ? {} : { DOCKER_HOST: dockerHost }),
      ...env,
    };
  }

  /** Copies the project without its local files. `env` overrides the defaults of `this.env`. */
  static async create(
    dockerHost: string | undefined,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Composed> {
    const folder = await Deno.makeTempDir({ prefix: "composed-" });
    await Deno.chmod(folder, 0o755);
    const without = [".git", ".env", "node_modules", "coverage", "test-output"].map((name) =>
      `--exclude=./${name}`
    );
    const emptied = ["data", "database", "sftp_data", "ssh_keys"].map((name) => `--exclude=./${name}/[!.]*`);
    await run(
      "sh",
      "-c",
      'to=$1; shift; tar -c "$@" . | tar -x -C "$to"',
      "sh",
      folder,
      ...without,
      ...emptied,
    );
    const command = await run("docker-compose", "version").then(
      () => ["docker-compose"] as const,
      () => ["docker", "compose"] as const,
    );
    const composed = new Composed(folder, freePort(), freePort(), dockerHost, command, env);
    await composed.#removeAll();
    return composed;
  }

  async compose(...args: string[]): Promise<string> {
    const [command, ...before] = this.command;
    return await this.run(command, ...before, ...args);
  }

  /** Runs a command in the project's folder. */
  async run(command: string, ...args: string[]): Promise<string> {
    return await runIn({ cwd: this.folder, env: this.env }, command, ...args);
  }

  /** Returns all containers, including ended ones, or those of one service. */
  async containers(service?: string): Promise<Container[]> {
    const ids = await this.run(
      "docker",
      "ps",
      "--all",
      "--quiet",
      "--filter",
      `label=${LABEL}.project=${PROJECT}`,
    );
    if (ids === "") return [];
    const all = JSON.parse(await this.run("docker", "inspect", ...ids.split("\n"))) as Container[];
    return service === undefined ? all : all.filter((container) => serviceOf(container) === service);
  }

  /** Runs a query on the database file; returns the rows. */
  query<Row>(sql: string, ...values: string[]): Row[] {
    const database = new DatabaseSync(`${this.folder}/database/data.db`, { readOnly: true, timeout: 5_000 });
    try {
      return database.prepare(sql).all(...values) as Row[];
    } finally {
      database.close();
    }
  }

  /** Waits until the run has one of these states. @throws Error as soon as the run fails. */
  async runIs(runId: string, ...states: string[]): Promise<RunRow> {
    const row = await until(`run ${runId} is ${states.join(" or ")}`, () => {
      const [row] = this.query<RunRow>(`SELECT * FROM etl_runs WHERE run_id = ?`, runId);
      return row !== undefined && [...states, "FAILED"].includes(row.status) ? row : undefined;
    });
    if (!states.includes(row.status)) {
      throw new Error(`Run ${runId} is ${row.status}: ${JSON.stringify(row)}`);
    }
    return row;
  }

  /** Sends a request to the API and parses the response as JSON. */
  async ask<Body>(path: string, init: RequestInit = {}): Promise<{ status: number; body: Body }> {
    const answer = await fetch(`http://127.0.0.1:${this.apiPort}${path}`, {
      ...init,
      signal: AbortSignal.timeout(20_000),
    });
    return { status: answer.status, body: await answer.json() as Body };
  }

  async ready(): Promise<void> {
    await until("the API is ready", async () => (await this.ask("/readyz")).status === 200 || undefined);
  }

  /** Sends a GraphQL operation; returns its data. @throws Error with the operation's errors. */
  async graphql<Data>(query: string, token?: string): Promise<Data> {
    const { body: { data, errors } } = await this.ask<{ data: Data; errors?: unknown }>("/graphql", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query }),
    });
    if (errors !== undefined) throw new Error(JSON.stringify(errors));
    return data;
  }

  /** Requests a run through the API; returns its id. */
  async startRun(token?: string): Promise<string> {
    const { startRun } = await this.graphql<{ startRun: { runId?: string } }>(
      `mutation { startRun { ... on StartRunSuccess { runId } ... on Problem { message } } }`,
      token,
    );
    if (startRun.runId === undefined) throw new Error(JSON.stringify(startRun));
    return startRun.runId;
  }

  /** Returns the names of the delivered files, without those of git. */
  delivered(): string[] {
    return [...Deno.readDirSync(`${this.folder}/sftp_data`)].map(({ name }) => name)
      .filter((name) => !name.startsWith(".")).toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#removeAll();
    await Deno.remove(this.folder, { recursive: true });
  }

  /** Removes the containers, volumes and image of this test or of an earlier one that was killed. */
  async #removeAll(): Promise<void> {
    await this.compose("down", "--volumes", "--remove-orphans", "--timeout", "1");
    await this.run("docker", "image", "rm", "--force", "deno-etl").catch(() => {});
  }
}

/** Returns the service that a container belongs to. */
export function serviceOf(container: Container): string {
  return container.Config.Labels[`${LABEL}.service`] ?? "";
}

const PROJECT = "deno-etl-compose-test";
const LABEL = "com.docker.compose";
