/**
 * For the compose test alone: a Docker daemon. The one that runs is used; where none does, one of the test's own is started in a folder of its
 * own, and on a bare Debian machine what is missing is installed first. Both want to be root.
 *
 * @module
 */
import { pause } from "../../shared/actor/backoff.ts";
import { canInstall, installPackages } from "../support/install.ts";
import { placeOf } from "../support/needs.ts";

/** Programs that the test needs, and the Debian package of each. */
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

/** How long a daemon may take to answer, in milliseconds. */
const START_MS = 30_000;

/** Installs what is missing of these and of `more`, packages by their programs. The packages' own services aren't started. @throws Error when that can't be done. */
export async function installMissing(more: Readonly<Record<string, string>> = {}): Promise<void> {
  const missing = Object.entries({ ...PACKAGES, ...more }).flatMap(([program, name]) =>
    placeOf(program) === undefined ? [name] : []
  );
  if (missing.length === 0 || await canInstall() && await installPackages(missing)) return;
  throw new Error(`Cannot run the compose test: install ${missing.join(", ")} first.`);
}

/** A Docker daemon that answers. Disposing of it ends it, and removes all that it held, where it was started for the test. */
export interface Daemon extends AsyncDisposable {
  /** Where it listens, for `DOCKER_HOST`; undefined for the usual place. */
  readonly host: string | undefined;
}

/** The daemon that runs, or else a new one. @throws Error when there is none and none can be started. */
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
  // It ends with the test, however that ends.
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
