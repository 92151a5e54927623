/** The whole pipeline under one supervisor: the services, and a local server for each part that isn't configured. */
import { dirname } from "node:path";
import { backOff, pause } from "../shared/actor/backoff.ts";
import { WITH_PARENT } from "../shared/actor/parent.ts";
import { EXIT } from "../shared/actor/service.ts";
import { PermanentError } from "../shared/errors/errors.ts";
import { ensureKeys } from "../local/sftp/keys.ts";
import { SAMPLE_LISTS } from "../local/source/server.ts";
import {
  commandOf,
  type Environment,
  environmentOf,
  pipelinesOf,
  programPath,
  type Service,
  SERVICES,
} from "./services.ts";
import { type OnLine, type Program, type Running, start } from "./program.ts";

interface SupervisorOptions {
  readonly env: Environment;
  readonly services: readonly Service[];
  /** Starts a sample source in place of the sources in `SAMPLE_LISTS`; `bad` is the share of invalid users. */
  readonly sample?: { readonly users: number; readonly bad: number };
  /** Called with each line that a part writes. */
  readonly onLine: OnLine;
}

/** The running pipeline. Disposing of it stops every part, and so does the end of this process for any reason. */
export interface Supervisor extends AsyncDisposable {
  /** The configuration with the addresses of the local servers filled in. */
  readonly env: Environment;
  /** Rejects when a part ends and restarting it can't help; never resolves. */
  readonly broken: Promise<never>;
}

/** A part ended during its start, or can't be kept running. */
export class PartFailed extends PermanentError {
  override readonly name: string = "PartFailed";

  constructor(
    part: string,
    /** The exit code that it ended with. */
    readonly code: number,
  ) {
    super(`${part} ended with exit code ${code}; its last lines say why.`);
  }
}

/** If a service fails this soon after its first start, the cause is assumed to be permanent, in milliseconds. */
const START_MS = 10_000;

/** A part that runs this long may be restarted immediately when it ends, in milliseconds. */
const SETTLED_MS = 30_000;

/**
 * Starts everything. The local servers are ready when this resolves. The services may become ready in any order, as the
 * channel keeps their messages.
 *
 * @throws ConfigError when the configuration is unusable.
 * @throws PartFailed when a local server ends before it is ready; the others are then stopped.
 */
export async function startPipeline(
  { env, services, sample, onLine }: SupervisorOptions,
): Promise<Supervisor> {
  const full = { ...env };
  const running = new Map<string, Running>();
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {});
  let closing = false;

  /** Starts a local server. It is restarted whenever it ends, at its first address. */
  const serve = async (program: Program, ready: RegExp, again: (found: string) => readonly string[]) => {
    const part = start(program, onLine);
    running.set(program.name, part);
    const [, found] = await part.line(ready).catch(async () => {
      throw new PartFailed(program.name, await part.ended);
    });
    void keepUp({ ...program, args: [...program.args, ...again(found!)] });
    return found!;
  };
  /**
   * Restarts a program whenever it ends, unless it failed right after its first start, as a person must then fix the
   * cause.
   */
  const keepUp = async (program: Program) => {
    for (let failures = 1; !closing; failures++) {
      const since = Date.now();
      const code = await running.get(program.name)!.ended;
      if (closing) return;
      const lived = Date.now() - since;
      const unable = code === EXIT.badConfig || (code === EXIT.failed && failures === 1 && lived < START_MS);
      if (unable) return broken.reject(new PartFailed(program.name, code));
      if (lived > SETTLED_MS) failures = 2;
      onLine("supervisor", `${program.name} ended with exit code ${code}; it is started again`);
      await pause(backOff(failures, { maxMs: 30_000 }));
      if (!closing) running.set(program.name, start(program, onLine));
    }
  };
  const close = async () => {
    closing = true;
    const stop = (name: string) => running.get(name)?.stop();
    await Promise.all(SERVICES.map(stop));
    await Promise.all(["sftp", "source"].map(stop));
  };

  try {
    if (sample !== undefined) {
      const options = ["--users", `${sample.users}`, "--bad", `${sample.bad}`];
      const url = await serve(
        { name: "source", args: localCommand("source", [], options), env: full },
        /Sample source: (\S+)/,
        (url) => ["--port", new URL(url).port],
      );
      for (const [variable, list] of Object.entries(SAMPLE_LISTS)) {
        full[variable] = new URL(`/${list}`, url).href;
      }
    }
    if (!full.SFTP_HOST && services.includes("saver")) {
      const keyPath = full.SFTP_KEY_PATH || "ssh_keys/id_rsa";
      const folder = dirname(keyPath);
      await ensureKeys(folder, { passphrase: full.SFTP_KEY_PASSPHRASE });
      full.SFTP_KNOWN_HOSTS ||= `${folder}/known_hosts`;
      const sftp = {
        name: "sftp",
        args: sftpCommand(folder, full.SFTP_KNOWN_HOSTS, full.SFTP_USER || "sftp_user"),
        env: full,
      };
      const port = await serve(sftp, /listens on 127\.0\.0\.1:(\d+)/, (port) => ["--port", port]);
      Object.assign(full, { SFTP_HOST: "127.0.0.1", SFTP_PORT: port });
    }
    const pipelines = await pipelinesOf(full);
    const programs = services.map((name) => ({
      name,
      args: commandOf(name, full, pipelines, [WITH_PARENT]),
      env: environmentOf(name, full, pipelines),
    }));
    for (const program of programs) {
      running.set(program.name, start(program, onLine));
      void keepUp(program);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { env: full, broken: broken.promise, [Symbol.asyncDispose]: close };
}

/** The arguments for `deno` that start a program of `local/`; it ends with this process. */
function localCommand(name: string, permissions: readonly string[], options: readonly string[]): string[] {
  const fixed = ["run", "--cached-only", "--no-prompt", "--allow-net=127.0.0.1"];
  return [...fixed, ...permissions, programPath(`local/${name}.ts`), WITH_PARENT, ...options];
}

function sftpCommand(keys: string, knownHosts: string, user: string): string[] {
  const folders = `sftp_data,${keys},${dirname(knownHosts)}`;
  return localCommand("sftp_server", [`--allow-read=${folders}`, `--allow-write=${folders}`], [
    ...["--user", user, "--authorized-key", `${keys}/sftp_user.pub`],
    ...["--host-key", `${keys}/ssh_host_ed25519_key`, "--known-hosts", knownHosts],
  ]);
}
