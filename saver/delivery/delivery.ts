/**
 * The Delivery port: puts a run's files on another machine, and verifies them there. Adapter: `sftp.ts`.
 *
 * @module
 */

import type { FileKind } from "../../shared/contracts/names.ts";

/** A complete file of a run, to be delivered. */
export interface LocalFile {
  readonly kind: FileKind;
  /** On the local disk, or among the files of a store. */
  readonly path: string;
  /** Its plain name on the server. */
  readonly name: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly bytes: number;
  /** SHA-256 of the unencrypted file; absent where this one isn't encrypted. See `seal`. */
  readonly plainSha256?: string;
}

/** The manifest of a run, delivered last: its arrival says that the files are complete. */
export interface Manifest {
  /** Its plain name on the server. */
  readonly name: string;
  /** The same run must make the same text each time, or a repeated delivery is a conflict. */
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
  /** Whether an identical file was there already, and nothing was sent. */
  readonly skipped: boolean;
  /** ISO 8601 in UTC. */
  readonly deliveredAt: string;
}

export interface DeliverOptions {
  /** Ends the delivery, which then throws the signal's reason. */
  readonly signal: AbortSignal;
  /** Gets the number of bytes on the server. Called often; must be cheap. */
  readonly onProgress?: (bytes: number, total: number) => void;
}

export interface Ahead {
  /** Removes them from the server, unless a delivery has taken them over. Never throws. */
  forget(): Promise<void>;
}

/** A server that accepts deliveries. */
export interface Probed {
  /** The absolute path of the folder for the files. */
  readonly folder: string;
  /** Such as `ssh-ed25519`. */
  readonly hostKeyType: string;
  /** As OpenSSH writes it (`SHA256:…`). */
  readonly fingerprint: string;
}

/**
 * Puts files on a server. A file gets its final name only when it is complete and verified; an existing file is never replaced; a repeated
 * delivery sends nothing and succeeds. So a delivery can be repeated until it succeeds.
 */
export interface Delivery extends AsyncDisposable {
  /**
   * Delivers `files`, side by side, then `manifest`.
   *
   * @returns the files on the server afterwards, in the same order.
   * @throws TransientError when the server is away, breaks off, stalls or can't store the file now.
   * @throws PermanentError when key, host key or permissions are refused, when another file has the name, or a local file isn't the
   * announced one.
   */
  deliver(files: readonly LocalFile[], manifest: Manifest, options: DeliverOptions): Promise<DeliveredFile[]>;
  /**
   * Begins to send files of a probable delivery, all of them together, under temporary names; that delivery then only renames them, and
   * meets whatever goes wrong here. Undefined where that isn't worth it, or enough are on their way.
   */
  sendAhead(files: readonly LocalFile[]): Ahead | undefined;
  /** Connects, and writes and removes a small file in the folder. @throws as `deliver`. */
  probe(signal: AbortSignal): Promise<Probed>;
}
