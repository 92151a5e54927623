/**
 * A local SFTP server for installations without one: the saver delivers to it over the real protocol, and the files
 * appear in a folder. Not meant for the open internet: it has one user, and doesn't limit login attempts.
 */
import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import ssh2, { type AuthContext, type Connection as SshConnection, type Session as SshSession } from "ssh2";
import { fileError } from "../../shared/files/disk.ts";
import { Jail } from "./jail.ts";
import { ensureHostKey, pinHostKey, readPublicKeys } from "./keys.ts";
import { serveSession } from "./session.ts";

const HOST = "127.0.0.1";

/** The same as on the compose file's server. */
const MOUNT = "/upload";

export interface SftpServerOptions {
  /** Created if it is missing. */
  readonly root: string;
  /** Port to listen on; 0 takes a free one. */
  readonly port: number;
  readonly user: string;
  /** File of the public keys that may log in, one per line; read again at each login. */
  readonly authorizedKey: string;
  /** File of the server's private key; created if it is missing. */
  readonly hostKey: string;
  /** A known hosts file in which the server's key is pinned, so that clients can be strict from the start. */
  readonly knownHosts?: string | undefined;
}

export interface SftpServer extends AsyncDisposable {
  readonly port: number;
  /** Resolves when the server has been closed. */
  readonly finished: Promise<void>;
  close(): Promise<void>;
}

/**
 * @throws PermanentError when keys are missing or unusable.
 * @throws Error when the port is in use or the folder can't be created.
 */
export async function startSftpServer(options: SftpServerOptions): Promise<SftpServer> {
  await readPublicKeys(options.authorizedKey);
  const pair = await ensureHostKey(options.hostKey);
  await Deno.mkdir(options.root, { recursive: true });
  const jail = new Jail(await Deno.realPath(options.root), MOUNT);
  const ssh = new ssh2.Server({
    hostKeys: [await textOf(pair.privateKey)],
    // other ciphers leak memory for each connection: ssh2 keeps one cipher for all packets and never finishes it
    algorithms: { cipher: ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"] },
  }, (connection) => serveConnection(connection, options, jail));
  const sockets = new Set<Socket>();
  // the server tracks its sockets, so that none outlives it; without noDelay each answer waits 40 ms for an
  // acknowledgement
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    ssh.injectSocket(socket);
  });
  const finished = Promise.withResolvers<void>();
  server.once("close", finished.resolve);
  const close = async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    await finished.promise;
  };
  const port = await listen(server, options.port);
  try {
    if (options.knownHosts) await pinHostKey(options.knownHosts, HOST, port, pair.publicKey);
    return { port, finished: finished.promise, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw fileError("read", path, error);
  }
}

async function listen(server: NetServer, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, HOST, resolve);
  await promise;
  return (server.address() as AddressInfo).port;
}

function serveConnection(connection: SshConnection, options: SftpServerOptions, jail: Jail): void {
  // a disconnecting client isn't an error of the server; its files are closed with the session
  connection.on("error", () => {});
  connection.on("authentication", (context: AuthContext) => {
    const answer = (yes: boolean) => yes ? context.accept() : context.reject(["publickey"]);
    isAuthorized(context, options).then(answer, () => answer(false));
  });
  connection.on("session", (accept: () => SshSession) => {
    accept().on("sftp", (start) => serveSession(start(), jail));
  });
}

async function isAuthorized(context: AuthContext, options: SftpServerOptions): Promise<boolean> {
  if (context.method !== "publickey" || context.username !== options.user) return false;
  const keys = await readPublicKeys(options.authorizedKey);
  const key = keys.find((known) => same(known.getPublicSSH(), context.key.data));
  if (key === undefined) return false;
  // without a signature the client only asks whether the key would be accepted
  if (context.signature === undefined || context.blob === undefined) return true;
  return key.verify(context.blob, context.signature, context.hashAlgo) === true;
}

function same(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
