/**
 * Delivers over one SFTP connection. Each file is uploaded under a temporary name, verified, and renamed atomically without replacing another file.
 * For the reasons see docs/decisions/003-delivery.md.
 */
import { createHash } from "node:crypto";
import { posix } from "node:path";
import type { CipherAlgorithm } from "ssh2";
import { PermanentError, TransientError } from "../../shared/errors/errors.ts";
import { blocksAt } from "../../shared/files/disk.ts";
import { openFiles } from "../../shared/files/open.ts";
import type { S3Place } from "../../shared/files/s3/place.ts";
import { Connection, type Login } from "./connection.ts";
import type { DeliveredFile, LocalFile, Manifest, Probed } from "./delivery.ts";
import { namedFileError } from "./failure.ts";
import { fingerprintOf } from "./known_hosts.ts";
import { Remote } from "./remote.ts";
import { type Digest, readBack, upload } from "./transfer.ts";

export interface SftpOptions extends Login {
  /** Absolute, or relative to the user's home; created if missing. */
  readonly remoteDir: string;
  /** `content`: the file on the server is read back and hashed; `size`: only its length is compared. */
  readonly verify: "content" | "size";
  /** The bucket to read files from; absent: the local disk. */
  readonly files?: S3Place | undefined;
}

/** A `LocalFile` or manifest, and its bytes. */
interface Source extends Digest {
  readonly kind: DeliveredFile["kind"];
  readonly name: string;
  /** The name in messages. */
  readonly shown: string;
  readonly plainSha256?: string | undefined;
  blocks(): AsyncIterable<Uint8Array>;
}

export const PROBE: Manifest = { name: "probe", text: "A test whether files can be delivered here.\n" };

/** Best first: Deno takes nearly twice as long for AES-GCM. docs/performance.md has the figures. */
const CIPHERS: readonly CipherAlgorithm[] = [
  "aes128-ctr",
  "aes192-ctr",
  "aes256-ctr",
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
];

export type Item = LocalFile | Manifest;

/** Called with the bytes of each request that the server has acknowledged, and of each reply while a file is read back. */
export type OnMoved = (sent: number, read: number) => void;

export interface Housekeeping {
  /** The names of the files that the session will send. */
  readonly names: readonly string[];
  /** Temporary files of earlier sessions of this process. */
  readonly leftovers: readonly string[];
  /** Whether to search the folder for temporary files of other processes. */
  readonly removesStale: boolean;
}

export interface OnCleanedUp {
  /** Called with the paths of all temporary files of this session, before each change. */
  parts(paths: readonly string[]): void;
  /** Called after the search of the folder. */
  staleRemoved(): void;
}

/** A logged-in connection, and the folder for the files. Disposing ends the connection. */
export class Session implements AsyncDisposable {
  /** Temporary files that are complete or being sent, by name and SHA-256; undefined for a file that already existed. */
  readonly #staged = new Map<string, Promise<string | undefined>>();
  readonly #parts: Set<string>;

  private constructor(
    private readonly options: SftpOptions,
    private readonly connection: Connection,
    private readonly remote: Remote,
    private readonly folder: string,
    leftovers: readonly string[],
    private readonly onCleanedUp: OnCleanedUp,
  ) {
    this.#parts = new Set(leftovers);
  }

  /**
   * Connects, creates a missing folder, and removes temporary files of earlier sessions.
   *
   * @throws as `Delivery.deliver`.
   */
  static async open(
    options: SftpOptions,
    { names, leftovers, removesStale }: Housekeeping,
    onCleanedUp: OnCleanedUp,
    signal: AbortSignal,
  ): Promise<Session> {
    const connection = await Connection.open({ ...options, ciphers: CIPHERS }, signal);
    try {
      const remote = await Remote.open(connection, signal);
      const folder = await remote.folder(options.remoteDir);
      const session = new Session(options, connection, remote, folder, leftovers, onCleanedUp);
      for (const part of leftovers) await session.#remove(part);
      if (removesStale) {
        await removeStale(remote, folder, names);
        onCleanedUp.staleRemoved();
      }
      return session;
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Sends a file under a temporary name and verifies it, so that `deliver` only has to rename it. @throws as `Delivery.deliver`. */
  async stage(item: Item, onMoved: OnMoved): Promise<void> {
    const source = this.#sourceOf(item);
    const staged = this.#stage(source, onMoved);
    this.#staged.set(keyOf(source), staged); // immediately, as `deliver` may be called meanwhile
    await staged;
  }

  async #stage(source: Source, onMoved: OnMoved): Promise<string | undefined> {
    const there = await this.remote.facts(this.#target(source));
    return there === undefined ? await this.#send(source, onMoved) : undefined;
  }

  /** Removes the temporary files that were sent ahead and not delivered. Never throws. */
  async unstage(): Promise<void> {
    for (const staged of this.#staged.values()) await this.#discard(staged);
    this.#staged.clear();
  }

  async #discard(staged: Promise<string | undefined> | undefined): Promise<void> {
    const part = await staged?.catch(() => undefined);
    if (part !== undefined) await this.#remove(part);
  }

  async #remove(part: string): Promise<void> {
    if (await this.remote.discard(part)) this.#isGone(part);
  }

  #isGone(part: string): void {
    this.#parts.delete(part);
    this.onCleanedUp.parts([...this.#parts]);
  }

  /** Puts one file on the server, unless it exists there. @throws as `Delivery.deliver`. */
  async deliver(item: Item, onMoved: OnMoved): Promise<DeliveredFile> {
    const source = this.#sourceOf(item);
    const target = this.#target(source);
    const staged = this.#staged.get(keyOf(source));
    if ((await this.remote.facts(target)) !== undefined) {
      await this.#discard(staged);
      this.#staged.delete(keyOf(source));
      await this.#insistOnSame(target, source, onMoved);
      return this.#placed(target, source, true);
    }
    const part = await staged ?? await this.#send(source, onMoved);
    this.#staged.delete(keyOf(source));
    try {
      if (await this.remote.rename(part, target)) {
        await this.#insistOnRenamed(part, target, source);
        this.#isGone(part);
        return this.#placed(target, source, false);
      }
      // another delivery finished first; its file counts
      await this.#insistOnSame(target, source, onMoved);
    } catch (error) {
      await this.#remove(part);
      throw error;
    }
    await this.#remove(part);
    return this.#placed(target, source, true);
  }

  /** Writes and removes a small file. @throws as `Delivery.deliver`. */
  async probe(): Promise<Probed> {
    await this.#remove(await this.#send(this.#sourceOf(PROBE), () => {}));
    const { type, blob } = this.connection.hostKey!;
    return { folder: this.folder, hostKeyType: type, fingerprint: fingerprintOf(blob) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.connection[Symbol.asyncDispose]();
  }

  #sourceOf(item: Item): Source {
    return "text" in item ? fromText(item) : fromFile(item, this.options.files);
  }

  #target(source: Source): string {
    return posix.join(this.folder, source.name);
  }

  /** Uploads to a temporary file. When this resolves with its path, it is on the disk and verified; when this rejects, it is removed. */
  async #send(source: Source, onMoved: OnMoved): Promise<string> {
    const part = partOf(this.folder, source.name);
    this.#parts.add(part);
    this.onCleanedUp.parts([...this.#parts]);
    try {
      await this.#upload(part, source, onMoved);
      return part;
    } catch (error) {
      await this.#remove(part);
      throw error;
    }
  }

  async #upload(part: string, source: Source, onMoved: OnMoved): Promise<void> {
    {
      await using file = await this.remote.create(part);
      const read = await upload(source.blocks(), file, (sent) => onMoved(sent, 0));
      if (read.sha256 !== source.sha256 || read.bytes !== source.bytes) {
        throw new PermanentError(
          `Cannot deliver ${source.shown}: it has ${inWords(read)}, but ${
            inWords(source)
          } was announced, so it was changed or truncated since. ` +
            `Put the announced file back and replay the dead letter, or start a new run.`,
        );
      }
      await file.sync();
      await file.close();
    }
    const there = await this.#digest(part, source, onMoved);
    if (!same(there, source)) {
      throw new TransientError(
        `Cannot deliver ${source.shown}: ${inWords(source)} was sent, but "${part}" on the SFTP server has ${
          inWords(there)
        }. It will be retried.`,
      );
    }
  }

  async #insistOnSame(target: string, source: Source, onMoved: OnMoved): Promise<void> {
    const there = await this.#digest(target, source, onMoved);
    if (same(there, source)) return;
    throw new PermanentError(
      `Cannot deliver ${source.shown}: "${target}" on the SFTP server is another file with ${
        inWords(there)
      }, wanted ${inWords(source)}. It isn't overwritten: move it away, then request the delivery again.`,
    );
  }

  /**
   * Some servers report a rename that they didn't do. What was verified under the temporary name needs no second reading,
   * only a look. If both names are gone, a receiver has taken the file away already.
   */
  async #insistOnRenamed(part: string, target: string, source: Source): Promise<void> {
    const there = await this.remote.facts(target);
    if (there?.size === source.bytes) return;
    if (there === undefined && (await this.remote.facts(part)) === undefined) return;
    throw new PermanentError(
      `Cannot deliver ${source.shown}: the SFTP server reports that it renamed "${part}", but "${target}" has ${
        inWords({ bytes: there?.size })
      }, wanted ${source.bytes} bytes. See that the server can rename files; then request the delivery again.`,
    );
  }

  /** The remote file's length, and its SHA-256 if content is to be verified and the length is right. */
  async #digest(path: string, wanted: Digest, onMoved: OnMoved): Promise<Partial<Digest>> {
    const facts = await this.remote.facts(path);
    if (facts === undefined) return {};
    if (facts.folder) {
      throw new PermanentError(
        `Cannot deliver to "${path}" on the SFTP server: a folder has that name. Move it away, then request the delivery again.`,
      );
    }
    if (facts.size !== wanted.bytes || this.options.verify === "size") return { bytes: facts.size };
    await using file = await this.remote.read(path);
    return await readBack(file, facts.size, (read) => onMoved(0, read));
  }

  #placed(remotePath: string, source: Source, skipped: boolean): DeliveredFile {
    return {
      kind: source.kind,
      name: source.name,
      remotePath,
      sha256: source.plainSha256 ?? source.sha256,
      bytes: source.bytes,
      verified: this.options.verify,
      encrypted: source.plainSha256 !== undefined,
      skipped,
      deliveredAt: new Date().toISOString(),
    };
  }
}

const PART = /^\.(.+)\.[0-9a-f]{12}\.part$/;

/** A temporary file older than the newest entry by this much, by the server's clock, counts as abandoned; in seconds. */
const STALE_S = 24 * 3600;

/**
 * Removes leftovers of other processes: temporary files of the files called `names`, and any other temporary file unchanged for a day, such as of a
 * failed run.
 */
async function removeStale(remote: Remote, folder: string, names: readonly string[]): Promise<void> {
  const parts: { name: string; changedAt: number }[] = [];
  let newest = 0;
  try {
    for await (const entry of remote.entries(folder)) {
      newest = Math.max(newest, entry.changedAt);
      if (PART.test(entry.name)) parts.push(entry);
    }
  } catch (error) {
    // some servers forbid listing the folder; leftovers must be removed there
    if (!(error instanceof PermanentError)) throw error;
  }
  for (const { name, changedAt } of parts) {
    const isOurs = names.includes(PART.exec(name)![1]!);
    if (isOurs || changedAt < newest - STALE_S) await remote.discard(posix.join(folder, name));
  }
}

/** Random, so two deliveries of one file never write to the same temporary file. */
function partOf(folder: string, name: string): string {
  return posix.join(folder, `.${name}.${crypto.randomUUID().slice(-12)}.part`);
}

/** @throws PermanentError for anything other than a plain file name. */
export function checkName(name: string): void {
  if (/^[^/\\\p{Cc}]+$/u.test(name) && name !== "." && name !== "..") return;
  throw new PermanentError(`Cannot deliver a file as ${JSON.stringify(name)}: wanted a plain file name.`);
}

function same(there: Partial<Digest>, wanted: Digest): boolean {
  return there.bytes === wanted.bytes && (there.sha256 === undefined || there.sha256 === wanted.sha256);
}

function inWords({ bytes, sha256 }: Partial<Digest>): string {
  if (bytes === undefined) return "nothing";
  return `${bytes} bytes${sha256 === undefined ? "" : ` and SHA-256 ${sha256}`}`;
}

function keyOf({ name, sha256 }: Source): string {
  return `${sha256} ${name}`;
}

function fromText({ name, text }: Manifest): Source {
  const bytes = new TextEncoder().encode(text);
  return {
    kind: "manifest",
    name,
    shown: `"${name}"`,
    bytes: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    async *blocks() {
      yield await Promise.resolve(bytes);
    },
  };
}

function fromFile(file: LocalFile, place: S3Place | undefined): Source {
  const { kind, name, path, bytes, sha256, plainSha256 } = file;
  const blocks = () => {
    if (place === undefined) return blocksAt(path, (error) => namedFileError("deliver", path, error));
    const files = openFiles(place);
    return (plainSha256 === undefined ? files : files.sealed).blocks(path);
  };
  return { kind, name, shown: `"${path}"`, bytes, sha256, plainSha256, blocks };
}
