/** Opens a TCP connection to a PostgreSQL server, encrypted according to `sslmode`. */
import { isIP, Socket } from "node:net";
import { connect as encrypt, type ConnectionOptions as TlsOptions } from "node:tls";
import { messageOf, PermanentError } from "../../errors/errors.ts";

/**
 * How a connection is encrypted, as in libpq: never, if the server supports it, always, or always with a verified certificate. Verification includes
 * the host name.
 */
export const SSL_MODES = ["disable", "prefer", "require", "verify-full"] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** Time limit for the server's answer, in milliseconds. */
const CONNECT_MS = 10_000;

/** The client's request for TLS; the server answers S or N. */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]);

/** An error of the connection, with a code like those of sockets. */
export class ConnectionError extends Error {
  constructor(readonly code: "CONNECT_TIMEOUT" | "CONNECTION_CLOSED" | "NO_TLS" | "SILENT" | "TOO_LARGE") {
    super(code);
  }
}

/** The server's address and TLS settings. `rootCert` is a file with the certificates of trusted authorities, in place of the default ones. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly sslMode: SslMode;
  readonly rootCert: string | undefined;
}

/** Connects. Throws the error of the socket or of TLS, or a timeout after 10 s. */
export async function connectSocket({ host, port, sslMode: mode, rootCert }: Endpoint): Promise<Socket> {
  const socket = new Socket();
  const timer = setTimeout(() => socket.destroy(new ConnectionError("CONNECT_TIMEOUT")), CONNECT_MS);
  try {
    socket.connect(port, host);
    await nextEvent(socket, "connect");
    if (mode === "disable") return socket;
    socket.write(SSL_REQUEST);
    const answer = await nextEvent(socket, "data") as Uint8Array;
    if (answer[0] === "S".charCodeAt(0)) {
      const ca = mode === "verify-full" && rootCert !== undefined ? await authorities(rootCert) : undefined;
      return await encrypted(socket, host, { rejectUnauthorized: mode === "verify-full", ca });
    }
    if (mode !== "prefer") throw new ConnectionError("NO_TLS");
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function authorities(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new PermanentError(
      `Cannot read the certificates of the authorities, ${JSON.stringify(path)} (${messageOf(error)}). ` +
        "Correct sslrootcert in DATABASE_URL, and start again.",
      { cause: error },
    );
  }
}

async function encrypted(socket: Socket, host: string, trust: TlsOptions): Promise<Socket> {
  const options = { socket, ...trust };
  const secured = encrypt(isIP(host) ? { ...options, host } : { ...options, host, servername: host });
  await nextEvent(secured, "secureConnect");
  return secured;
}

/** The arguments of a socket's event. Unlike `once`, it rejects if the peer closes the connection without an error. */
function nextEvent(socket: Socket, event: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const closed = () => reject(new ConnectionError("CONNECTION_CLOSED"));
  socket.once(event, resolve).once("error", reject).once("close", closed);
  return promise.finally(() => socket.off(event, resolve).off("error", reject).off("close", closed));
}
