/**
 * The pipeline in containers, from a copy of the project in a folder of its own.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { pause } from "../../shared/actor/backoff.ts";
import { freePort } from "../support/free_port.ts";
import { run, runIn } from "./run.ts";

/** The part of `docker inspect`'s answer that the test reads. */
export interface Container {
  readonly Id: string;
  readonly Name: string;
  /** How often Docker has started it again. */
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

/** A run as the database tells it. */
export interface RunRow {
  readonly run_id: string;
  readonly status: string;
  /** Where its delivery is; null before it begins. */
  readonly delivery_state: string | null;
  /** Its raw file, under the project's folder. */
  readonly raw_file: string | null;
  /** The file of its valid records, likewise. */
  readonly processed_file: string | null;
  /** The file of its invalid records, likewise. */
  readonly dlq_file: string | null;
  /** Records that keep the rules; null before the load. */
  readonly valid_count: number | null;
  /** Records that break them; null before the load. */
  readonly invalid_count: number | null;
}

/** How long something may take that takes seconds, in milliseconds. */
const PATIENCE_MS = 240_000;

/** Waits until `look` answers something. @throws Error with `what` and the last failure when it hasn't after `withinMs`. */
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

/** The project, composed. Disposing of it removes containers, volumes, networks, the image and the folder. */
export class Composed implements AsyncDisposable {
  /** Variables for `docker-compose`; what is changed here holds from the next command on. */
  readonly env: Record<string, string>;

  private constructor(
    /** The copy of the project. */
    readonly folder: string,
    /** Port of 127.0.0.1 for the API. */
    readonly apiPort: number,
    /** Port of 127.0.0.1 for the SFTP server. */
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

  /** Copies the project, without what doesn't belong to it. `env` is what differs from the defaults of `this.env`. */
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

  /** A command in the project's folder. */
  async run(command: string, ...args: string[]): Promise<string> {
    return await runIn({ cwd: this.folder, env: this.env }, command, ...args);
  }

  /** All containers, the ended ones too, by their services; several of a service that is scaled. */
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

  /** Rows of a query on the database file. */
  query<Row>(sql: string, ...values: string[]): Row[] {
    const database = new DatabaseSync(`${this.folder}/database/data.db`, { readOnly: true, timeout: 5_000 });
    try {
      return database.prepare(sql).all(...values) as Row[];
    } finally {
      database.close();
    }
  }

  /** Waits until the run has one of these states. @throws Error at once when it failed. */
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

  /** What the API answers; read as JSON, whatever it is. */
  async ask<Body>(path: string, init: RequestInit = {}): Promise<{ status: number; body: Body }> {
    const answer = await fetch(`http://127.0.0.1:${this.apiPort}${path}`, {
      ...init,
      signal: AbortSignal.timeout(20_000),
    });
    return { status: answer.status, body: await answer.json() as Body };
  }

  /** Waits until the API is ready. */
  async ready(): Promise<void> {
    await until("the API is ready", async () => (await this.ask("/readyz")).status === 200 || undefined);
  }

  /** The data of a GraphQL answer. @throws Error with its errors. */
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

  /** Asks the API for a run; returns its id. */
  async startRun(token?: string): Promise<string> {
    const { startRun } = await this.graphql<{ startRun: { runId?: string } }>(
      `mutation { startRun { ... on StartRunSuccess { runId } ... on Problem { message } } }`,
      token,
    );
    if (startRun.runId === undefined) throw new Error(JSON.stringify(startRun));
    return startRun.runId;
  }

  /** Names of the files that were delivered, without those of git. */
  delivered(): string[] {
    return [...Deno.readDirSync(`${this.folder}/sftp_data`)].map(({ name }) => name)
      .filter((name) => !name.startsWith(".")).toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#removeAll();
    await Deno.remove(this.folder, { recursive: true });
  }

  /** What this test, or one before it that was killed, has left. */
  async #removeAll(): Promise<void> {
    await this.compose("down", "--volumes", "--remove-orphans", "--timeout", "1");
    await this.run("docker", "image", "rm", "--force", "deno-etl").catch(() => {});
  }
}

/** The service that a container is of. */
export function serviceOf(container: Container): string {
  return container.Config.Labels[`${LABEL}.service`] ?? "";
}

const PROJECT = "deno-etl-compose-test";
const LABEL = "com.docker.compose";
