/**
 * The way to a PostgreSQL server: a TCP connection, encrypted as `sslmode` says.
 *
 * @module
 */
import { isIP, Socket } from "node:net";
import { connect as encrypt, type ConnectionOptions as TlsOptions } from "node:tls";

/**
 * How a connection is encrypted, as in libpq: never, where the server can, always, or always with a certificate that is checked. Those that
 * are checked are checked for the host's name, too.
 */
export const SSL_MODES = ["disable", "prefer", "require", "verify-full"] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** Longest wait until the server has answered, in milliseconds. */
const CONNECT_MS = 10_000;

/** What a client sends to ask for TLS; the server answers S or N. */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]);

/** What went wrong on the way, with a code as those of sockets. */
export class WayError extends Error {
  /** Makes the error. */
  constructor(readonly code: "CONNECT_TIMEOUT" | "CONNECTION_CLOSED" | "NO_TLS" | "SILENT" | "TOO_LARGE") {
    super(code);
  }
}

/** How to connect: `rootCert` is a file with the certificates of the authorities that are trusted, in place of the usual ones. */
export interface Way {
  readonly host: string;
  readonly port: number;
  readonly sslMode: SslMode;
  readonly rootCert: string | undefined;
}

/** Connects. Fails with what the socket or TLS says, or after 10 s. */
export async function connectSocket({ host, port, sslMode: mode, rootCert }: Way): Promise<Socket> {
  const socket = new Socket();
  const timer = setTimeout(() => socket.destroy(new WayError("CONNECT_TIMEOUT")), CONNECT_MS);
  try {
    socket.connect(port, host);
    await heard(socket, "connect");
    if (mode === "disable") return socket;
    socket.write(SSL_REQUEST);
    const answer = await heard(socket, "data") as Uint8Array;
    if (answer[0] === "S".charCodeAt(0)) {
      const ca = mode === "verify-full" && rootCert !== undefined
        ? await Deno.readTextFile(rootCert)
        : undefined;
      return await encrypted(socket, host, { rejectUnauthorized: mode === "verify-full", ca });
    }
    if (mode !== "prefer") throw new WayError("NO_TLS");
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function encrypted(socket: Socket, host: string, trust: TlsOptions): Promise<Socket> {
  const options = { socket, ...trust };
  const secured = encrypt(isIP(host) ? { ...options, host } : { ...options, host, servername: host });
  await heard(secured, "secureConnect");
  return secured;
}

/** What comes with an event of a socket; unlike `once` it fails where the other side closes the connection in silence. */
function heard(socket: Socket, event: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const closed = () => reject(new WayError("CONNECTION_CLOSED"));
  socket.once(event, resolve).once("error", reject).once("close", closed);
  return promise.finally(() => socket.off(event, resolve).off("error", reject).off("close", closed));
}
