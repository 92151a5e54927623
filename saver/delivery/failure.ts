/** Classifies failures of ssh2, SFTP and the file system, all in this module. */
import { PermanentError, reasonsOf, TransientError } from "../../shared/errors/errors.ts";
import { fileError } from "../../shared/files/disk.ts";

/** Status codes of SFTP version 3. */
export const STATUS = {
  END: 1,
  NO_SUCH_FILE: 2,
  PERMISSION_DENIED: 3,
  FAILURE: 4,
  OP_UNSUPPORTED: 8,
} as const;

export interface Server {
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

/** The SFTP status of an answer; undefined if there was none. */
export function statusOf(error: unknown): number | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "number" ? code : undefined;
}

/** The error for a server that refuses to `action` (such as `write`) the remote `path`. */
export function requestFailure(action: string, path: string, error: unknown): Error {
  if (error instanceof TransientError || error instanceof PermanentError) return error;
  const cannot = `Cannot ${action} "${path}" on the SFTP server`;
  switch (statusOf(error)) {
    case STATUS.PERMISSION_DENIED:
      return new PermanentError(
        `${cannot}: permission denied. Give SFTP_USER the right to, or ${
          action === "read" ? "set SFTP_VERIFY=size" : "name another SFTP_REMOTE_DIR"
        }; then request the delivery again.`,
        { cause: error },
      );
    case STATUS.OP_UNSUPPORTED:
      return new PermanentError(`${cannot}: the server doesn't support that. Deliver to another server.`, {
        cause: error,
      });
    case STATUS.NO_SUCH_FILE:
      return new TransientError(`${cannot}: it no longer exists. It will be retried.`, { cause: error });
    case undefined:
      return new TransientError(`${cannot}: the connection broke (${reasonIn(error)}). It will be retried.`, {
        cause: error,
      });
    default:
      return new TransientError(
        `${cannot}: the server answers "${reasonIn(error)}". Is its disk or quota full? It will be retried.`,
        { cause: error },
      );
  }
}

/** The error for a connection to `server` that failed or broke. */
export function connectionFailure(server: Server, keyPath: string, error: unknown): Error {
  if (error instanceof TransientError || error instanceof PermanentError) return error;
  const where = `"${server.host}:${server.port}"`;
  switch (levelOf(error)) {
    case "client-authentication":
      return loginFailure(server, keyPath, [KEY]);
    case "handshake":
      return new PermanentError(
        `Cannot agree with the SFTP server ${where} on how to encrypt: ${
          reasonIn(error)
        }. Update the server, or deliver to another one.`,
        { cause: error },
      );
    default:
      return lostConnection(where, error);
  }
}

/** SSH's name of a login with a key. */
const KEY = "publickey";

/** The error for a server that, after the key was shown, asks for one of the `offered` methods; `isAccepted`: besides the key. */
export function loginFailure(
  server: Server,
  keyPath: string,
  offered: readonly string[],
  isAccepted = false,
): PermanentError {
  const cannot = `Cannot log in to the SFTP server "${server.host}:${server.port}" as "${server.user}"`;
  const methods = reasonIn(offered.join(", "));
  if (isAccepted) {
    return new PermanentError(
      `${cannot}: it accepts the key in "${keyPath}", and asks for another login besides (${methods}). ` +
        `Files are delivered without a person, by a key alone: ask the server's operator to let that user in by its key.`,
    );
  }
  if (!offered.includes(KEY)) {
    return new PermanentError(
      `${cannot}: it offers no login by a key, only ${
        methods || "none that it names"
      }. Ask the server's operator to enable ` +
        `${KEY} for that user, with the public half of "${keyPath}", or correct SFTP_USER, SFTP_HOST or SFTP_PORT.`,
    );
  }
  return new PermanentError(
    `${cannot}: it refuses the key in "${keyPath}". ` +
      `Add its public half to that user's authorized keys, or correct SFTP_USER or SFTP_KEY_PATH.`,
  );
}

function lostConnection(where: string, error: unknown): Error {
  if (error instanceof Deno.errors.NotCapable) {
    return new PermanentError(
      `Cannot connect to the SFTP server ${where}: this process lacks permission. Start it with --allow-net for that host.`,
      { cause: error },
    );
  }
  return new TransientError(
    `Cannot reach the SFTP server ${where}: ${reasonIn(error)}. Is it running? It will be retried.`,
    { cause: error },
  );
}

/** The part of ssh2 that raised an error. */
function levelOf(error: unknown): unknown {
  return error instanceof Error && "level" in error ? error.level : undefined;
}

const LONGEST_REASON = 200;

/** What a server or ssh2 says of an error, short and on one line: a server may say anything. */
function reasonIn(error: unknown): string {
  const text = reasonsOf(error).replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ").trim();
  return text.length <= LONGEST_REASON ? text : `${text.slice(0, LONGEST_REASON)}…`;
}

/** The error for a local file that the configuration or a run names. */
export function namedFileError(action: string, path: string, error: unknown): Error {
  const cannot = `Cannot ${action} "${path}"`;
  if (error instanceof Deno.errors.NotFound) {
    return new PermanentError(`${cannot}: there is no such file. Put it there, or correct the path.`, {
      cause: error,
    });
  }
  if (error instanceof Deno.errors.IsADirectory || error instanceof Deno.errors.NotADirectory) {
    return new PermanentError(`${cannot}: wanted a file in a folder. Correct the path.`, { cause: error });
  }
  return fileError(action, path, error);
}
