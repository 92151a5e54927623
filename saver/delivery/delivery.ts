/** The Delivery port: puts a run's files on another machine, and verifies them there. Adapter: `sftp.ts`. */

import type { FileKind } from "../../shared/contracts/names.ts";

/** A complete file of a run, to be delivered. */
export interface LocalFile {
  readonly kind: FileKind;
  /** Its path on the local disk, or in a store. */
  readonly path: string;
  /** Its plain name on the server. */
  readonly name: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly bytes: number;
  /** SHA-256 of the unencrypted file; absent if this file isn't encrypted. See `seal`. */
  readonly plainSha256?: string;
}

/** The manifest of a run, delivered last: once it exists, the files are complete. */
export interface Manifest {
  /** Its plain name on the server. */
  readonly name: string;
  /** Must be the same text each time for a run, or a repeated delivery is a conflict. */
  readonly text: string;
}

/** A file on the server, verified there. */
export interface DeliveredFile {
  readonly kind: FileKind | "manifest";
  readonly name: string;
  /** Absolute. */
  readonly remotePath: string;
  /** SHA-256 of the local file, before encryption. */
  readonly sha256: string;
  readonly bytes: number;
  /** `content`: read back and hashed; `size`: only its length was compared. */
  readonly verified: "content" | "size";
  readonly encrypted: boolean;
  /** Whether an identical file already existed, so nothing was sent. */
  readonly skipped: boolean;
  /** ISO 8601 in UTC. */
  readonly deliveredAt: string;
}

export interface DeliverOptions {
  /** Aborts the delivery, which then throws the signal's reason. */
  readonly signal: AbortSignal;
  /** Called often with the number of bytes on the server; must be cheap. */
  readonly onProgress?: (bytes: number, total: number) => void;
}

export interface Ahead {
  /** Removes the files from the server, unless a delivery uses them. Never throws. */
  forget(): Promise<void>;
}

/** A server that accepts deliveries. */
export interface Probed {
  /** The absolute path of the folder for the files. */
  readonly folder: string;
  /** Such as `ssh-ed25519`. */
  readonly hostKeyType: string;
  /** In OpenSSH's format (`SHA256:…`). */
  readonly fingerprint: string;
}

/**
 * Puts files on a server. A file gets its final name only when it is complete and verified, and an existing file is never replaced. Deliveries are
 * idempotent: repeating a successful one sends nothing, so a delivery can be retried until it succeeds.
 */
export interface Delivery extends AsyncDisposable {
  /**
   * Delivers `files`, in parallel, then `manifest`.
   *
   * @returns the files on the server afterwards, in the same order.
   * @throws TransientError if the server can't be reached, the connection breaks or stalls, or the server can't store the file now.
   * @throws PermanentError if the key, the host key or an operation is refused, another file has the name, or a local file isn't the announced one.
   */
  deliver(files: readonly LocalFile[], manifest: Manifest, options: DeliverOptions): Promise<DeliveredFile[]>;
  /**
   * Sends all files of a probable delivery ahead, under temporary names. That delivery then only renames them; errors recur in it and are reported
   * there. Undefined if the files are too small, or too many are being sent.
   */
  sendAhead(files: readonly LocalFile[]): Ahead | undefined;
  /** Connects, and writes and removes a small file in the folder. @throws as `deliver`. */
  probe(signal: AbortSignal): Promise<Probed>;
}
