/**
 * The destination of a pipeline's deliveries: a real SFTP server that can be stopped and restarted.
 *
 * @module
 */
import { pinHostKey } from "../../local/sftp/keys.ts";
import { type SftpServer, startSftpServer } from "../../local/sftp_server.ts";
import type { Environment } from "../../cli/services.ts";
import { freePort } from "./free_port.ts";
import { startSshd } from "./sshd.ts";

/** A server for deliveries. Disposing of it ends it. */
export interface Site extends AsyncDisposable {
  /** The saver's variables for it. */
  readonly env: Environment;
  /** The folder on this machine's disk in which deliveries appear. */
  readonly disk: string;
  /** Ends it at once, including its connections. */
  stop(): Promise<void>;
  /** Restarts it on the same port. */
  start(): Promise<void>;
  /** Stops it with open connections, until `thaw`. OpenSSH's server only. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

export interface SiteOptions {
  /** The pipeline's folder, with the key pair in `ssh_keys/`. */
  readonly folder: string;
  /** The public key that may log in. */
  readonly publicKey: string;
}

/** Starts the server of `start`, `run` and `demo`, over `sftp_data/`. */
export async function localSite({ folder, publicKey }: SiteOptions): Promise<Site> {
  const root = `${folder}/sftp_data`;
  let server: SftpServer | undefined;
  const port = freePort();
  const start = async () => {
    server = await startSftpServer({
      root,
      port,
      user: "sftp_user",
      authorizedKey: publicKey,
      hostKey: `${folder}/ssh_keys/ssh_host_ed25519_key`,
      knownHosts: `${folder}/ssh_keys/known_hosts`,
    });
  };
  const stop = async () => {
    await server?.close();
    server = undefined;
  };
  await start();
  const env = { SFTP_HOST: "127.0.0.1", SFTP_PORT: String(port), SFTP_USER: "sftp_user" };
  const unable = () => Promise.reject(new Error("This server runs in the test's own process; take openssh."));
  return { env, disk: root, start, stop, freeze: unable, thaw: unable, [Symbol.asyncDispose]: stop };
}

export async function opensshSite({ folder, publicKey }: SiteOptions): Promise<Site> {
  const sshd = await startSshd({ authorizedKey: await Deno.readTextFile(publicKey) });
  await pinHostKey(`${folder}/ssh_keys/known_hosts`, "127.0.0.1", sshd.port, sshd.hostKey);
  const disk = `${sshd.home}/upload`;
  return {
    env: {
      SFTP_HOST: "127.0.0.1",
      SFTP_PORT: String(sshd.port),
      SFTP_USER: sshd.user,
      SFTP_REMOTE_DIR: disk,
    },
    disk,
    start: () => sshd.start(),
    stop: () => sshd.kill(),
    freeze: () => sshd.freeze(),
    thaw: () => sshd.thaw(),
    [Symbol.asyncDispose]: () => sshd[Symbol.asyncDispose](),
  };
}
