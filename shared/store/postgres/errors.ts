/** Classifies the errors of PostgreSQL and of its connections as transient or permanent. */
import { messageOf, NoSpace, PermanentError, TransientError } from "../../errors/errors.ts";

/** Host, port and name of the database, for messages; without user and password. */
export function placeOfDatabase(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}:${port || "5432"}${pathname}`;
}

/** Codes of errors of the connection, not the statement: its next statement would fail too. */
const LOST = new Set([
  ...["25006", "57P01", "57P02", "57P03", "57P05", "25P03"],
  ...["CONNECTION_CLOSED", "SILENT", "EPIPE", "ECONNRESET", "ECONNABORTED"],
]);

/** Whether a retry needs a new connection. */
export function isLost(error: unknown): boolean {
  return LOST.has(codeOf(error));
}

/**
 * Classifies an error of the client. Transient are a server that can't be reached, starts, stops or is read-only, a lock, a timeout, and too many
 * connections. Permanent are wrong credentials, a missing database and missing privileges. Any other error (a mistake in the SQL) is returned
 * unchanged.
 */
export function postgresError(place: string, error: unknown): unknown {
  const code = codeOf(error);
  const options = { cause: error };
  const transient = TRANSIENT[code] ?? TRANSIENT[code.slice(0, 2)];
  if (code === "53100") {
    return new NoSpace(
      `Cannot write to the database ${place}: its disk is full. Make room there; it will be retried.`,
      options,
    );
  }
  if (transient !== undefined) {
    const reason = code.startsWith("08") ? `${transient} (${messageOf(error)})` : transient;
    return new TransientError(`Cannot use the database ${place}: ${reason}. It will be retried.`, options);
  }
  const permanent = PERMANENT[code] ?? PERMANENT[code.slice(0, 2)];
  if (permanent !== undefined) {
    const [wrong, todo] = permanent;
    const reason = wrong ?? messageOf(error);
    return new PermanentError(
      `Cannot use the database ${place}: ${reason}. ${todo}, and start again.`,
      options,
    );
  }
  if (/^(NO_TLS|CERT_|ERR_TLS|ERR_SSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code)) {
    return new PermanentError(
      `Cannot use the database ${place}: no encrypted connection that can be trusted (${code}). Correct the server's certificate or sslmode in DATABASE_URL, and start again.`,
      options,
    );
  }
  return error;
}

/** The error of the settings of a session: `DATABASE_URL` may name some that the server doesn't know. */
export function settingError(place: string, error: unknown): unknown {
  if (!/^(22|42|55P02)/.test(codeOf(error))) return error;
  return new PermanentError(
    `Cannot use the database ${place}: ${
      messageOf(error)
    }. Correct the parameters of DATABASE_URL, and start again.`,
    { cause: error },
  );
}

/** The description of an error, by SQLSTATE, by its class, or by the client's own code. */
const TRANSIENT: Record<string, string> = {
  "08": "the connection failed",
  "25006": "it only takes reads, as after a failover",
  "25P03": "the server ended a transaction that was idle for too long",
  "25P04": "the server ended a transaction that took too long",
  "40": "another transaction conflicted",
  "53": "the server is short of memory or connections",
  "53300": "it has reached its limit of connections. Raise max_connections, or run fewer services",
  "55P03": "another transaction holds a lock for too long",
  "57014": "it took too long",
  "57P01": "the server shuts down",
  "57P02": "the server crashed",
  "57P03": "the server starts or stops",
  "57P05": "the server ended an idle connection",
  "58": "the server's disk fails",
  CONNECTION_CLOSED: "the connection was lost",
  CONNECTION_DESTROYED: "the connection was lost",
  CONNECTION_ENDED: "the connection is closed",
  CONNECT_TIMEOUT: "nobody answered in time",
  SILENT: "the server doesn't answer",
  ECONNREFUSED: "nobody listens there",
  ECONNRESET: "the connection was reset",
  ECONNABORTED: "the connection was reset",
  EPIPE: "the connection was lost",
  ETIMEDOUT: "nobody answered in time",
  EHOSTUNREACH: "there is no way to the host",
  ENETUNREACH: "there is no way to the network",
  ENETDOWN: "the network is down",
  ENOTFOUND: "the host's name isn't known",
  EAI_AGAIN: "the host's name can't be looked up",
};

/** Descriptions in place of the server's own text, with what to do. */
const PERMANENT: Record<string, readonly [wrong: string | undefined, todo: string]> = {
  "28": ["user or password is refused", "Correct DATABASE_URL or the server's pg_hba.conf"],
  "3D000": [
    "there is no database of this name",
    "Make it with CREATE DATABASE … ENCODING 'UTF8', or correct DATABASE_URL",
  ],
  "3F000": ["the user has no schema to use", "Make one, or correct the user's search_path"],
  "42501": [
    undefined,
    "Give the user of DATABASE_URL the right to use and to create in its schema (deno task doctor --grant)",
  ],
  "XX001": ["its data is damaged", "Restore the last back-up"],
  "XX002": ["an index is damaged", "REINDEX the database"],
};

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
