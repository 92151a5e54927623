/**
 * Tools for tests of the delivery: two real servers, an authorized key, files to deliver.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { ensureHostKey, ensureKeys, pinHostKey } from "../../local/sftp/keys.ts";
import { type SftpServer, startSftpServer } from "../../local/sftp_server.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { freePort } from "./free_port.ts";
import { startSshd } from "./sshd.ts";
import type { LocalFile, Manifest } from "../../saver/delivery/delivery.ts";
import type { FileKind } from "../../shared/contracts/names.ts";
import type { SftpOptions } from "../../saver/delivery/sftp.ts";

/** A running server of either kind. */
export interface RunningServer extends AsyncDisposable {
  /** The port, which stays the same after a restart. */
  readonly port: number;
  /** The user that may log in. */
  readonly user: string;
  /** A folder's path for clients, and its path on this machine's disk. */
  readonly folder: { readonly remote: string; readonly disk: string };
  /** Path of its public host key. */
  readonly hostKey: string;
  /** Kills it and its sessions (SIGKILL). */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Stops it with open connections (SIGSTOP), until `thaw`. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

/** A server to test against. */
export interface ServerKind {
  /** Part of the names of the tests. */
  readonly name: string;
  /** Starts a server that accepts the key `publicKey`. `temp` is a folder for its files. */
  start(publicKey: string, temp: string): Promise<RunningServer>;
}

export const OPENSSH: ServerKind = openssh("OpenSSH");

/** OpenSSH's server with a maximum file size of 1 MiB. */
export const OPENSSH_FULL: ServerKind = openssh("OpenSSH with a full disk", 1024 * 1024);

function openssh(name: string, maxFileBytes?: number): ServerKind {
  return { name, start: (publicKey) => startOpenssh(publicKey, maxFileBytes) };
}

async function startOpenssh(publicKey: string, maxFileBytes?: number): Promise<RunningServer> {
  const authorizedKey = await Deno.readTextFile(publicKey);
  const sshd = await startSshd({ authorizedKey, ...(maxFileBytes === undefined ? {} : { maxFileBytes }) });
  return {
    port: sshd.port,
    user: sshd.user,
    hostKey: sshd.hostKey,
    folder: { remote: sshd.home, disk: sshd.home },
    kill: () => sshd.kill(),
    start: () => sshd.start(),
    freeze: () => sshd.freeze(),
    thaw: () => sshd.thaw(),
    [Symbol.asyncDispose]: () => sshd[Symbol.asyncDispose](),
  };
}

/** The server of `local/sftp_server.ts`, in a separate process with only the permissions that it needs. */
export const OURS: ServerKind = {
  name: "our server",
  async start(publicKey, temp) {
    const server = new OwnProcess(publicKey, temp);
    await server.start();
    return server;
  },
};

/** A server, a login for it, and files to deliver. Disposing of it ends and removes everything. */
export class SftpStage implements AsyncDisposable {
  private constructor(
    readonly server: RunningServer,
    /** Options to log in and to deliver into its folder. The host key is pinned. */
    readonly options: SftpOptions,
    /** A folder for the test's own files. */
    readonly temp: string,
  ) {}

  /** Starts a server of this kind. */
  static async open(kind: ServerKind): Promise<SftpStage> {
    const temp = await Deno.makeTempDir({ prefix: "delivery-" });
    const keys = await ensureKeys(temp, { type: "ed25519" });
    const server = await kind.start(keys.publicKey, temp);
    const knownHosts = `${temp}/known_hosts`;
    await pinHostKey(knownHosts, "127.0.0.1", server.port, server.hostKey);
    return new SftpStage(server, {
      host: "127.0.0.1",
      port: server.port,
      user: server.user,
      keyPath: keys.privateKey,
      knownHosts,
      hostKeyPolicy: "strict",
      remoteDir: server.folder.remote,
      verify: "content",
    }, temp);
  }

  /** The test's own files, as a service sees them. */
  get files(): LocalFiles {
    return new LocalFiles(this.temp);
  }

  /** The folder for encrypted files. */
  get sealed(): { files: LocalFiles; folder: string } {
    return { files: this.files, folder: this.files.path("sealed", "run") };
  }

  /** Creates a local file of `bytes` random bytes, none of them a letter: a text that replaces the file differs from it. */
  async file(kind: FileKind, bytes: number): Promise<LocalFile> {
    const name = `${kind}_20261124_030007.jsonl`;
    const content = randomBytes(bytes).map((byte) => byte & 0x3f);
    const path = this.files.path("raw_users", name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeFile(path, content);
    return {
      kind,
      name,
      path,
      bytes,
      sha256: createHash("sha256").update(content).digest("hex"),
    };
  }

  /** Creates the three files of a run: a long one, one of one byte, and an empty one. */
  async run(): Promise<LocalFile[]> {
    return [
      await this.file("raw", 3_000_001),
      await this.file("processed", 1),
      await this.file("invalid", 0),
    ];
  }

  /** Returns the names in the server's folder, sorted. */
  async names(): Promise<string[]> {
    return (await Array.fromAsync(Deno.readDir(this.server.folder.disk))).map(({ name }) => name).sort();
  }

  /** Writes a file into the server's folder without the server. */
  async plant(name: string, content: string | Uint8Array): Promise<void> {
    await Deno.writeFile(`${this.server.folder.disk}/${name}`, Buffer.from(content));
  }

  /** Returns the content of a file in the server's folder. */
  async read(name: string): Promise<Uint8Array> {
    return await Deno.readFile(`${this.server.folder.disk}/${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.temp, { recursive: true });
  }
}

/** The manifest of the test run. */
export const MANIFEST: Manifest = { name: "manifest_20261124_030007.json", text: '{"run_id":"r1"}\n' };

/** Starts our server in this process, over `root`. */
export async function startOwn(temp: string, root: string): Promise<SftpServer> {
  const keys = await ensureKeys(temp, { type: "ed25519" });
  return await startSftpServer({
    root,
    port: 0,
    user: "sftp_user",
    authorizedKey: keys.publicKey,
    hostKey: `${temp}/host_key`,
    knownHosts: `${temp}/known_hosts`,
  });
}

class OwnProcess implements RunningServer {
  readonly user = "sftp_user";
  readonly folder: { remote: string; disk: string };
  readonly hostKey: string;
  readonly port = freePort();
  #process: Deno.ChildProcess | undefined;

  constructor(private readonly publicKey: string, private readonly temp: string) {
    this.folder = { remote: "/upload", disk: `${temp}/root` };
    this.hostKey = `${temp}/host_key.pub`;
  }

  async start(): Promise<void> {
    await ensureHostKey(`${this.temp}/host_key`);
    const process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--allow-net=127.0.0.1",
        `--allow-read=${this.temp}`,
        `--allow-write=${this.folder.disk}`,
        new URL("../../local/sftp_server.ts", import.meta.url).pathname,
        ...["--root", this.folder.disk],
        ...["--port", String(this.port)],
        ...["--authorized-key", this.publicKey],
        ...["--host-key", `${this.temp}/host_key`],
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#process = process;
    const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value = "" } = await reader.read();
    await reader.cancel();
    if (!value.includes(` listens on 127.0.0.1:${this.port}, serves `)) {
      throw new Error(`the server didn't say where it listens: ${value}`);
    }
  }

  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    process?.kill("SIGKILL");
    await process?.status;
  }

  freeze(): Promise<void> {
    this.#process?.kill("SIGSTOP");
    return Promise.resolve();
  }

  thaw(): Promise<void> {
    this.#process?.kill("SIGCONT");
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
