/**
 * The Docker daemon of the compose test. Uses the running daemon. If there is none, starts one in a temporary
 * folder; on a bare Debian machine, installs the missing programs first. Starting and installing require
 * root.
 *
 * @module
 */
import { pause } from "../../shared/actor/backoff.ts";
import { canInstall, installPackages } from "../support/install.ts";
import { placeOf } from "../support/needs.ts";

/** The programs that the test needs, and the Debian package of each. */
const PACKAGES: Readonly<Record<string, string>> = {
  dockerd: "docker.io",
  "docker-compose": "docker-compose",
  busybox: "busybox-static",
  tini: "tini",
  "redis-server": "redis-server",
  "redis-cli": "redis-tools",
  sshd: "openssh-server",
  ssh: "openssh-client",
  ps: "procps",
  sqlite3: "sqlite3",
};

/** The longest wait for a daemon's first response, in milliseconds. */
const START_MS = 30_000;

/**
 * Installs those of these programs and of `more` that are missing; `more` maps programs to packages. Doesn't
 * start the packages' services. @throws Error if the installation fails.
 */
export async function installMissing(more: Readonly<Record<string, string>> = {}): Promise<void> {
  const missing = Object.entries({ ...PACKAGES, ...more }).flatMap(([program, name]) =>
    placeOf(program) === undefined ? [name] : []
  );
  if (missing.length === 0 || await canInstall() && await installPackages(missing)) return;
  throw new Error(`Cannot run the compose test: install ${missing.join(", ")} first.`);
}

/** A Docker daemon that responds. If the test started it, disposing of it ends it and removes everything in it. */
export interface Daemon extends AsyncDisposable {
  /** The value of `DOCKER_HOST`; undefined for the default address. */
  readonly host: string | undefined;
}

/** Returns the running daemon, or starts one. @throws Error if none runs and none can be started. */
export async function openDaemon(): Promise<Daemon> {
  if (await answers(undefined)) {
    return { host: Deno.env.get("DOCKER_HOST"), async [Symbol.asyncDispose]() {} };
  }
  if (Deno.uid() !== 0) {
    throw new Error("Cannot run the compose test: no Docker daemon answers. Start it first.");
  }
  for (let tries = 1;; tries++) {
    try {
      return await startDaemon();
    } catch (error) {
      if (tries === 3) throw error;
    }
  }
}

async function startDaemon(): Promise<Daemon> {
  const folder = await Deno.makeTempDir({ prefix: "dockerd-" });
  const host = `unix://${folder}/docker.sock`;
  // The daemon ends with the test, even if the test is killed.
  const child = new Deno.Command("setpriv", {
    args: [
      ...["--pdeathsig", "TERM", "dockerd"],
      ...["--host", host, "--pidfile", `${folder}/pid`],
      ...["--data-root", `${folder}/data`, "--exec-root", `${folder}/exec`, "--log-level", "error"],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let ended = false;
  const status = child.status.then(() => ended = true);
  const stop = async () => {
    if (!ended) child.kill("SIGTERM");
    await status;
    await Deno.remove(folder, { recursive: true });
  };
  const deadline = Date.now() + START_MS;
  while (!await answers(host)) {
    if (ended || Date.now() > deadline) {
      await stop();
      throw new Error("Cannot start dockerd: it didn't answer. Try `dockerd` by hand, it says why.");
    }
    await pause(200);
  }
  return { host, [Symbol.asyncDispose]: stop };
}

async function answers(host: string | undefined): Promise<boolean> {
  const { success } = await new Deno.Command("docker", {
    args: [...(host === undefined ? [] : ["--host", host]), "version"],
    stdout: "null",
    stderr: "null",
  }).output();
  return success;
}
