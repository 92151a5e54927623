/**
 * A real OpenSSH server of one's own, on a free port, that offers nothing but SFTP to holders of one key.
 *
 * @module
 */
import { ensureHostKey } from "../../local/sftp/keys.ts";
import { freePort } from "./free_port.ts";
import { commandOn, HERE, type Host } from "./host.ts";
import { placeOf, used } from "./needs.ts";
import { followLog } from "./output.ts";
import { childrenOf, workingIn } from "./processes.ts";

/** How to run the server. */
export interface SshdOptions {
  /** Public key that may log in, one line as in `authorized_keys`. */
  readonly authorizedKey: string;
  /** Private key file of the server; default a new ed25519 one. */
  readonly hostKeys?: readonly string[];
  /** Bytes from which on a file can't grow: writing more fails, as on a full disk. A multiple of 512. */
  readonly maxFileBytes?: number;
  /** Default this machine. */
  readonly host?: Host;
  /** How clients have to log in, as `sshd_config` says it. Default by the key. */
  readonly logins?: readonly string[];
}

/** A running server. Disposing of it ends the server and all its sessions, and removes its files. */
export interface Sshd extends AsyncDisposable {
  /** Its port, the same after a restart. */
  readonly port: number;
  /** A user that may log in: the one that runs the tests. */
  readonly user: string;
  /** Where a session begins; an empty folder at first. */
  readonly home: string;
  /** File of its public host key. */
  readonly hostKey: string;
  /** Ends the server and all sessions at once, as a power cut would (SIGKILL). */
  kill(): Promise<void>;
  /** Starts it again; resolves when it takes connections. */
  start(): Promise<void>;
  /** Keeps server and sessions from answering, their connections open (SIGSTOP), until `thaw`. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

export async function startSshd(options: SshdOptions): Promise<Sshd> {
  used("sshd");
  const folder = await Deno.makeTempDir({ prefix: "sshd-" });
  // So that another user than the one that runs the tests gets to the home folder, too.
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
      // Somebody else may have taken the port meanwhile.
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
    // A session whose parent ended while it was frozen is nobody's child any more, and stays frozen for ever.
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

/** Signals a process and all that descend from it, the parents first, so that none makes another child meanwhile. */
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
    // it has ended already
  }
}
