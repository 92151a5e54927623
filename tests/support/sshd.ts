/**
 * A separate, real OpenSSH server on a free port that offers only SFTP, to a single key.
 *
 * @module
 */
import { ensureHostKey } from "../../local/sftp/keys.ts";
import { freePort } from "./free_port.ts";
import { commandOn, HERE, type Host } from "./host.ts";
import { placeOf, used } from "./needs.ts";
import { followLog } from "./output.ts";
import { childrenOf, workingIn } from "./processes.ts";

export interface SshdOptions {
  /** Public key that may log in, one line as in `authorized_keys`. */
  readonly authorizedKey: string;
  /** Paths of the server's private keys. Default: a new ed25519 key. */
  readonly hostKeys?: readonly string[];
  /** Maximum size of a file in bytes, a multiple of 512. Writes beyond it fail, as on a full disk. */
  readonly maxFileBytes?: number;
  /** Default: this machine. */
  readonly host?: Host;
  /** Login methods, as in `sshd_config`. Default: by key. */
  readonly logins?: readonly string[];
}

/** A running server. Disposing of it ends the server and all its sessions, and removes its files. */
export interface Sshd extends AsyncDisposable {
  /** The port, which stays the same after a restart. */
  readonly port: number;
  /** The user that may log in: the one that runs the tests. */
  readonly user: string;
  /** Where a session starts; an empty folder at first. */
  readonly home: string;
  /** Path of its public host key. */
  readonly hostKey: string;
  /** Kills the server and all sessions, as a power cut would (SIGKILL). */
  kill(): Promise<void>;
  /** Restarts it; resolves once it accepts connections. */
  start(): Promise<void>;
  /** Stops server and sessions with open connections (SIGSTOP), until `thaw`. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

export async function startSshd(options: SshdOptions): Promise<Sshd> {
  used("sshd");
  const folder = await Deno.makeTempDir({ prefix: "sshd-" });
  // Lets another user than the one that runs the tests reach the home folder.
  await Deno.chmod(folder, 0o755);
  await Deno.mkdir(`${folder}/home`, { mode: 0o755 });
  await Deno.writeTextFile(`${folder}/authorized_keys`, options.authorizedKey, { mode: 0o644 });
  const hostKeys = options.hostKeys ?? [(await ensureHostKey(`${folder}/host_key`)).privateKey];
  const user = new TextDecoder().decode((await new Deno.Command("id", { args: ["-un"] }).output()).stdout)
    .trim();
  if (user === "root") await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  for (let tries = 1;; tries += 1) {
    const server = new Server(folder, freePort(), user, hostKeys, options);
    try {
      await server.start();
      return server;
    } catch (error) {
      // Another program may have taken the port in the meantime.
      if (tries === 3) throw error;
    }
  }
}

class Server implements Sshd {
  readonly home: string;
  readonly hostKey: string;
  readonly #folder: string;
  #process: Deno.ChildProcess | undefined;
  #output: Promise<void> = Promise.resolve();

  constructor(
    folder: string,
    readonly port: number,
    readonly user: string,
    private readonly hostKeys: readonly string[],
    private readonly options: SshdOptions,
  ) {
    this.#folder = folder;
    this.home = `${folder}/home`;
    this.hostKey = `${hostKeys[0]}.pub`;
  }

  async start(): Promise<void> {
    const { host = HERE, maxFileBytes, logins = ["AuthenticationMethods publickey"] } = this.options;
    await Deno.writeTextFile(
      `${this.#folder}/sshd_config`,
      [
        `Port ${this.port}`,
        `ListenAddress ${host.address}`,
        ...this.hostKeys.map((key) => `HostKey ${key}`),
        `AuthorizedKeysFile ${this.#folder}/authorized_keys`,
        ...logins,
        "PermitRootLogin prohibit-password",
        "StrictModes no",
        "UsePAM no",
        "PidFile none",
        "LogLevel INFO",
        "Subsystem sftp internal-sftp",
        `ForceCommand internal-sftp -d ${this.home}`,
      ].join("\n"),
    );
    const limit = maxFileBytes === undefined ? "unlimited" : String(maxFileBytes / 512);
    const process = commandOn(host, "sh", {
      args: [
        // Ignored signals stay ignored in the program: it gets an error instead of being killed.
        ...["-c", 'trap "" XFSZ; ulimit -f "$1"; shift; exec "$@"', "sh", limit],
        ...[placeOf("sshd") ?? "sshd", "-D", "-e", "-f", `${this.#folder}/sshd_config`],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#process = process;
    const ready = Promise.withResolvers<void>();
    this.#output = followLog("sshd", process.stderr, "Server listening on", ready);
    await ready.promise;
  }

  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    await signalTree(process.pid, "SIGKILL");
    // A session whose parent ended while it was frozen has become an orphan, and stays frozen for ever.
    for (const session of await workingIn(this.home)) killed(session);
    await process.status;
    await this.#output;
  }

  async freeze(): Promise<void> {
    if (this.#process) await signalTree(this.#process.pid, "SIGSTOP");
  }

  async thaw(): Promise<void> {
    if (this.#process) await signalTree(this.#process.pid, "SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/**
 * Signals a process and all its descendants, parents first, so that no process starts another child in the
 * meantime.
 */
async function signalTree(pid: number, signal: Deno.Signal): Promise<void> {
  try {
    Deno.kill(pid, signal === "SIGKILL" ? "SIGSTOP" : signal);
  } catch {
    return;
  }
  for (const child of await childrenOf(pid)) await signalTree(child, signal);
  if (signal === "SIGKILL") killed(pid);
}

function killed(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // it has already ended
  }
}
