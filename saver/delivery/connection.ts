/**
 * An SSH connection on which every request is answered or fails within a time limit.
 *
 * ssh2 alone leaves requests pending when a connection dies. Here the end of the connection (an error, a close, a silent server) fails all pending
 * requests.
 */
import { Buffer } from "node:buffer";
import { connect as connectSocket, type Socket } from "node:net";
import { nextTick } from "node:process";
import ssh2, {
  type AuthHandlerMiddleware,
  type CipherAlgorithm,
  type PublicKeyAuthMethod,
  type ServerHostKeyAlgorithm,
  type SFTPWrapper,
} from "ssh2";
import { PermanentError, TransientError } from "../../shared/errors/errors.ts";
import { connectionFailure, loginFailure, type Server } from "./failure.ts";
import { fingerprintOf, type HostKey, hostKeyOf, KnownHosts, lineFor, recordHostKey } from "./known_hosts.ts";
import { readPrivateKey } from "./private_key.ts";

/** `strict`: the host key must be in the known hosts file. `accept-new`: the key of the first login is recorded there; any other is refused. */
type HostKeyPolicy = "strict" | "accept-new";

export interface Login extends Server {
  readonly keyPath: string;
  /** For an encrypted private key. */
  readonly passphrase?: string | undefined;
  readonly knownHosts: string;
  readonly hostKeyPolicy: HostKeyPolicy;
  /** Milliseconds without any answer while requests are pending. Default 20,000. */
  readonly timeoutMs?: number | undefined;
  /** Allowed ciphers, best first. Default: those that leak nothing in a Deno process; ssh2 never closes others. */
  readonly ciphers?: readonly CipherAlgorithm[] | undefined;
}

const CLEAN_CIPHERS: readonly CipherAlgorithm[] = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"];

const TIMEOUT_MS = 20_000;

/** Milliseconds for an orderly close. */
const GOODBYE_MS = 2_000;

export type Callback<T> = (error: Error | null | undefined, value: T) => void;

/** A connection to a server with a verified host key, logged in. Disposing ends it. */
export class Connection implements AsyncDisposable {
  hostKey: HostKey | undefined;
  readonly #client = new ssh2.Client();
  readonly #socket: Socket;
  readonly #closed: Promise<void>;
  /** Rejects the pending requests. */
  readonly #waiting = new Set<(failure: unknown) => void>();
  readonly #timeoutMs: number;
  /** The reason why the connection ended. */
  #failure: unknown;
  #lastAnswer = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(private readonly login: Login) {
    this.#timeoutMs = login.timeoutMs ?? TIMEOUT_MS;
    // without it, Nagle's algorithm and delayed acknowledgements cost 40 ms a request
    this.#socket = connectSocket({ host: login.host, port: login.port, noDelay: true });
    writeAtOnce(this.#socket);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = promise;
    this.#client.on("error", (error) => this.#die(error));
    this.#client.on("close", () => {
      this.#die(new Error("the server closed the connection"));
      resolve();
    });
  }

  /**
   * Connects, checks the host key and logs in.
   *
   * @throws TransientError if the server can't be reached or the connection breaks.
   * @throws PermanentError if the private key can't be used or is refused, or the host key isn't the known one.
   */
  static async open(login: Login, signal: AbortSignal): Promise<Connection> {
    const key = await readPrivateKey(login.keyPath, login.passphrase);
    const known = await KnownHosts.read(login.knownHosts);
    const method: PublicKeyAuthMethod = { type: "publickey", username: login.user, key };
    signal.throwIfAborted();
    const connection = new Connection(login);
    try {
      await connection.request<void>((done) => {
        connection.#client.once("ready", () => done(null, undefined));
        connection.#client.connect({
          sock: connection.#socket,
          username: login.user,
          authHandler: connection.#logsInBy(method),
          readyTimeout: 0,
          algorithms: {
            cipher: [...login.ciphers ?? CLEAN_CIPHERS],
            serverHostKey: algorithmsFor(known.keysOf(login.host, login.port)),
          },
          // synchronous, as ssh2 hangs if the server's next packet arrives before an asynchronous verdict
          hostVerifier: (blob: Buffer) => connection.#accepts(known, blob),
        });
      }, signal);
      await connection.#recordHostKey(known);
      return connection;
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @throws PermanentError if the server offers no SFTP to this user. */
  async sftp(signal: AbortSignal): Promise<SFTPWrapper> {
    try {
      const sftp = await this.request<SFTPWrapper>((done) => this.#client.sftp(done), signal);
      sftp.on("error", (error: Error) => this.#die(error));
      sftp.on("close", () => this.#die(new Error("the server ended the SFTP session")));
      return sftp;
    } catch (error) {
      if (signal.aborted || error instanceof TransientError || error instanceof PermanentError) throw error;
      throw new PermanentError(
        `Cannot use the SFTP server "${this.login.host}:${this.login.port}": it offers no SFTP to "${this.login.user}" ` +
          `(${(error as Error).message}). Enable the sftp subsystem for that user.`,
        { cause: error },
      );
    }
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @throws the server's error, as ssh2 reports it.
   * @throws TransientError (or PermanentError) if the connection ended before the answer.
   * @throws the reason of `signal`.
   */
  async request<T>(send: (done: Callback<T>) => void, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw connectionFailure(this.login, this.login.keyPath, this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (failure: unknown) => reject(failure);
    const abort = () => reject(signal?.reason);
    this.#waiting.add(fail);
    signal?.addEventListener("abort", abort);
    this.#watch();
    try {
      send((error, value) => {
        this.#lastAnswer = performance.now();
        // an error without a status means that the connection is lost; the close event brings the reason
        if (error && this.#socket.destroyed) return;
        error ? reject(error) : resolve(value);
      });
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#waiting.delete(fail);
      if (this.#waiting.size === 0) {
        clearTimeout(this.#timer);
        this.#timer = undefined;
      }
    }
  }

  /** Ends the connection, orderly if the server still answers. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure === undefined) {
      this.#failure = new Error("the connection was ended");
      this.#client.end();
    } else this.#socket.destroy();
    const timer = setTimeout(() => this.#socket.destroy(), GOODBYE_MS);
    await this.#closed;
    clearTimeout(timer);
  }

  #die(cause: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = cause;
    this.#socket.destroy();
    const failure = connectionFailure(this.login, this.login.keyPath, cause);
    for (const fail of this.#waiting) fail(failure);
  }

  /** Ends the connection if requests are pending and none was answered during the whole timeout. */
  #watch(): void {
    if (this.#timer !== undefined) return;
    this.#lastAnswer = performance.now();
    const check = () => {
      const silent = performance.now() - this.#lastAnswer;
      if (silent >= this.#timeoutMs) {
        this.#die(silence(silent));
      } else this.#timer = setTimeout(check, this.#timeoutMs - silent);
    };
    this.#timer = setTimeout(check, this.#timeoutMs);
  }

  /** Tries one method. If it isn't enough, the connection ends with the methods that the server offers. */
  #logsInBy(method: PublicKeyAuthMethod): AuthHandlerMiddleware {
    let isTried = false;
    return (offered, isAccepted, next) => {
      if (isTried) return this.#die(loginFailure(this.login, this.login.keyPath, offered, isAccepted));
      isTried = true;
      next(method);
    };
  }

  /** Checks the host key. If it is refused, the connection ends with the reason. */
  #accepts(known: KnownHosts, blob: Uint8Array): boolean {
    try {
      this.hostKey = hostKeyOf(blob);
      refuseUntrusted(this.login, known, this.hostKey);
      return true;
    } catch (error) {
      this.#die(error);
      return false;
    }
  }

  /** Records the key of a new server. Another connection may have recorded one meanwhile; if it differs, this one is refused. */
  async #recordHostKey(known: KnownHosts): Promise<void> {
    const { host, port, knownHosts } = this.login;
    if (this.hostKey === undefined || known.judge(host, port, this.hostKey).kind !== "unknown") return;
    const meanwhile = await KnownHosts.read(knownHosts);
    refuseUntrusted(this.login, meanwhile, this.hostKey);
    if (meanwhile.judge(host, port, this.hostKey).kind !== "unknown") return;
    await recordHostKey(knownHosts, host, port, this.hostKey);
  }
}

/** Connects without logging in, to check that the server can be reached. @throws as `Connection.open`. */
export async function reach(login: Login, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { host, port, timeoutMs = TIMEOUT_MS } = login;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connectSocket({ host, port });
  const abort = () => reject(signal.reason);
  const timer = setTimeout(() => reject(silence(timeoutMs)), timeoutMs);
  signal.addEventListener("abort", abort);
  socket.once("connect", resolve).on("error", reject);
  try {
    await promise;
  } catch (error) {
    throw signal.aborted ? signal.reason : connectionFailure(login, login.keyPath, error);
  } finally {
    signal.removeEventListener("abort", abort);
    clearTimeout(timer);
    socket.destroy();
  }
}

function silence(ms: number): Error {
  return new Error(`no answer for ${Math.round(ms / 1000)} s`);
}

/** ssh2 writes a packet in three pieces. This combines all pieces of one turn of the event loop into one system call. */
function writeAtOnce(socket: Socket): void {
  const write = socket.write.bind(socket) as (...written: unknown[]) => boolean;
  let corked = false;
  const uncork = () => {
    corked = false;
    socket.uncork();
  };
  socket.write = (...written: unknown[]) => {
    if (!corked) {
      corked = true;
      socket.cork();
      nextTick(uncork);
    }
    return write(...written);
  };
}

function refuseUntrusted(login: Login, known: KnownHosts, key: HostKey): void {
  const { host, port, knownHosts } = login;
  const verdict = known.judge(host, port, key);
  const refuse = (why: string) =>
    new PermanentError(
      `Cannot trust the SFTP server "${host}:${port}": its host key ${describe(key)} ${why}`,
    );
  if (verdict.kind === "revoked") {
    throw refuse(`is marked @revoked in "${knownHosts}". Ask the server's operator for its new key.`);
  }
  if (verdict.kind === "changed") {
    throw refuse(
      `isn't the one in "${knownHosts}" (${verdict.expected.map(describe).join(", ")}). ` +
        `Another server may be in between. If the operator confirms the new key, remove the old line and add: ${
          lineFor(host, port, key).trimEnd()
        }`,
    );
  }
  if (verdict.kind === "unknown" && login.hostKeyPolicy === "strict") {
    throw refuse(
      `isn't in "${knownHosts}". Compare the fingerprint with what the server's operator tells you, then add this line to that file ` +
        `(\`ssh-keyscan -p ${port} ${host}\` prints it too): ${lineFor(host, port, key).trimEnd()}`,
    );
  }
}

function describe({ type, blob }: HostKey): string {
  return `${type} ${fingerprintOf(blob)}`;
}

/** Types of host keys offered to a new server, best first. */
const ALGORITHMS: readonly ServerHostKeyAlgorithm[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/**
 * Types of host keys, known ones first. A server may have keys of several types; without this order it could present an unknown one, which would look
 * changed.
 */
function algorithmsFor(known: readonly HostKey[]): ServerHostKeyAlgorithm[] {
  const types = new Set(known.map(({ type }) => type));
  const isKnown = (algorithm: string) => types.has(algorithm.startsWith("rsa-sha2-") ? "ssh-rsa" : algorithm);
  return [...ALGORITHMS].sort((a, b) => Number(isKnown(b)) - Number(isKnown(a)));
}
