/**
 * The Delivery port: a run's files, verified, on another machine. Adapter: `sftp.ts`.
 *
 * @module
 */

/** What a delivered file is. */
export type FileKind = "raw" | "processed" | "invalid" | "manifest";

/** A complete file of a run that is to be delivered. */
export interface LocalFile {
  readonly kind: Exclude<FileKind, "manifest">;
  /** Where it is, on the local disk or among the files of a store. */
  readonly path: string;
  /** The plain file name that it gets on the server. */
  readonly name: string;
  /** Lower-case hexadecimal SHA-256 of its bytes. */
  readonly sha256: string;
  readonly bytes: number;
  /** SHA-256 of the file that was encrypted to make this one; absent where it isn't encrypted. See `seal`. */
  readonly plainSha256?: string;
}

/** The manifest of a run, delivered last: its arrival says that the files are complete. */
export interface Manifest {
  /** The plain file name that it gets on the server. */
  readonly name: string;
  /** Its content. The same run must make the same text each time, or a repeated delivery is a conflict. */
  readonly text: string;
}

/** A file on the server, verified there. */
export interface DeliveredFile {
  readonly kind: FileKind;
  readonly name: string;
  /** Its absolute path on the server. */
  readonly remotePath: string;
  /** SHA-256 of the local file, before encryption. */
  readonly sha256: string;
  readonly bytes: number;
  /** `content`: read back and hashed; `size`: its length alone was compared. */
  readonly verified: "content" | "size";
  /** Whether it is encrypted there. */
  readonly encrypted: boolean;
  /** Whether it was there already, identical, and nothing was sent. */
  readonly skipped: boolean;
  /** When it was verified, ISO 8601 in UTC. */
  readonly deliveredAt: string;
}

/** What a delivery is given besides its files. */
export interface DeliverOptions {
  /** Ends the delivery; its reason is what is thrown. */
  readonly signal: AbortSignal;
  /** Told how many of the run's bytes are on the server. Called often; has to be cheap. */
  readonly onProgress?: (bytes: number, total: number) => void;
}

/** Files that were sent ahead. */
export interface Ahead {
  /** Removes what is on the server of them, unless a delivery has taken them over. Never throws. */
  forget(): Promise<void>;
}

/** What a server that can be delivered to says of itself. */
export interface Probed {
  /** The absolute path of the folder that files go to. */
  readonly folder: string;
  /** The type of its host key, such as `ssh-ed25519`. */
  readonly hostKeyType: string;
  /** The fingerprint of its host key, as OpenSSH writes it (`SHA256:…`). */
  readonly fingerprint: string;
}

/**
 * Puts files on a server. A file has its final name only when it is complete and verified; a file that is there already is never replaced;
 * delivering again what was delivered sends nothing and succeeds. So a delivery can be repeated until it succeeds.
 */
export interface Delivery extends AsyncDisposable {
  /**
   * Delivers `files`, side by side, then `manifest`.
   *
   * @returns the files on the server afterwards, in the same order.
   * @throws TransientError when the server is away, breaks off, stalls or can't store the file now.
   * @throws PermanentError when key, host key or rights are refused, when another file has the name, or a local file isn't what was announced.
   */
  deliver(files: readonly LocalFile[], manifest: Manifest, options: DeliverOptions): Promise<DeliveredFile[]>;
  /**
   * Begins to send files that a delivery will probably be asked for, all of them together, under temporary names; that delivery then only
   * gives them their names. What goes wrong is left for it to meet. `undefined` where it isn't worth it,
   * or enough are on their way: it is for speed.
   */
  sendAhead(files: readonly LocalFile[]): Ahead | undefined;
  /** Connects, and writes and removes a small file in the folder. @throws as `deliver`, saying what is in the way. */
  probe(signal: AbortSignal): Promise<Probed>;
}
