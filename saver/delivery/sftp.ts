/**
 * Delivery over SFTP. Each file goes up under a temporary name, is verified there, and gets its own name in one step that never replaces
 * another file. docs/decisions/003-delivery.md says why each step is as it is.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { posix } from "node:path";
import { PermanentError, TransientError } from "../../shared/errors/errors.ts";
import { Connection, type Login } from "./connection.ts";
import type { DeliveredFile, DeliverOptions, Delivery, LocalFile, Manifest, Probed } from "./delivery.ts";
import { fileError } from "./failure.ts";
import { fingerprintOf } from "./known_hosts.ts";
import { Remote } from "./remote.ts";
import { type Digest, readBack, upload } from "./transfer.ts";

/** Where files are delivered to, and how surely. */
export interface SftpOptions extends Login {
  /** Folder on the server, absolute or from the user's home; made where it is missing. */
  readonly remoteDir: string;
  /** `content`: what is on the server is read back and hashed; `size`: its length alone is compared. */
  readonly verify: "content" | "size";
}

/** What is to be on the server: `LocalFile` or manifest, and where its bytes come from. */
interface Source extends Digest {
  readonly kind: DeliveredFile["kind"];
  readonly name: string;
  /** What the bytes are called in messages. */
  readonly shown: string;
  readonly plainSha256?: string | undefined;
  blocks(): AsyncIterable<Uint8Array>;
}

/** Bytes that are read from the disk at once. */
const BLOCK = 256 * 1024;

/** A delivery to an SFTP server. Keeps nothing open between two deliveries. */
export function sftpDelivery(options: SftpOptions): Delivery {
  return new SftpDelivery(options);
}

class SftpDelivery implements Delivery {
  constructor(private readonly options: SftpOptions) {}

  async deliver(
    files: readonly LocalFile[],
    manifest: Manifest,
    { signal, onProgress }: DeliverOptions,
  ): Promise<DeliveredFile[]> {
    const sources = [...files.map(fromDisk), fromText(manifest)];
    sources.forEach(({ name }) => checkName(name));
    await using connection = await Connection.open(this.options, signal);
    const remote = await Remote.open(connection, signal);
    const folder = await remote.folder(this.options.remoteDir);
    await sweep(remote, folder, sources);

    const total = sources.reduce((sum, { bytes }) => sum + bytes, 0);
    let before = 0;
    const delivered: DeliveredFile[] = [];
    for (const source of sources) {
      let sent = 0;
      delivered.push(
        await this.#place(remote, folder, source, (bytes) => onProgress?.(before + (sent += bytes), total)),
      );
      before += source.bytes;
      onProgress?.(before, total);
    }
    return delivered;
  }

  async probe(signal: AbortSignal): Promise<Probed> {
    await using connection = await Connection.open(this.options, signal);
    const remote = await Remote.open(connection, signal);
    const folder = await remote.folder(this.options.remoteDir);
    const source = fromText({ name: "probe", text: "A test whether files can be delivered here.\n" });
    await sweep(remote, folder, [source]);
    const part = partOf(folder, source.name);
    try {
      await this.#send(remote, part, source, () => {});
    } finally {
      await remote.discard(part);
    }
    const { type, blob } = connection.hostKey!;
    return { folder, hostKeyType: type, fingerprint: fingerprintOf(blob) };
  }

  /** Brings one file to the server, unless it is there. */
  async #place(
    remote: Remote,
    folder: string,
    source: Source,
    onSent: (bytes: number) => void,
  ): Promise<DeliveredFile> {
    const target = posix.join(folder, source.name);
    if ((await remote.facts(target)) !== undefined) {
      await this.#insistOnSame(remote, target, source);
      return this.#placed(target, source, true);
    }
    const part = partOf(folder, source.name);
    try {
      await this.#send(remote, part, source, onSent);
      if (await remote.rename(part, target)) return this.#placed(target, source, false);
      // Somebody was faster; what counts is what lies there now.
      await this.#insistOnSame(remote, target, source);
    } catch (error) {
      await remote.discard(part);
      throw error;
    }
    await remote.discard(part);
    return this.#placed(target, source, true);
  }

  /** Uploads to `part`, on disk and verified when this resolves. */
  async #send(
    remote: Remote,
    part: string,
    source: Source,
    onSent: (bytes: number) => void,
  ): Promise<void> {
    {
      await using file = await remote.create(part);
      const read = await upload(source.blocks(), file, onSent);
      if (read.sha256 !== source.sha256 || read.bytes !== source.bytes) {
        throw new PermanentError(
          `Cannot deliver ${source.shown}: it has ${inWords(read)}, but ${
            inWords(source)
          } was announced, so it was changed or cut since. ` +
            `Put the announced file back and replay the dead letter, or start a new run.`,
        );
      }
      await file.sync();
      await file.close();
    }
    const there = await this.#digest(remote, part, source);
    if (!same(there, source)) {
      throw new TransientError(
        `Cannot deliver ${source.shown}: ${inWords(source)} was sent, but "${part}" on the SFTP server has ${
          inWords(there)
        }. It is tried again.`,
      );
    }
  }

  async #insistOnSame(remote: Remote, target: string, source: Source): Promise<void> {
    const there = await this.#digest(remote, target, source);
    if (same(there, source)) return;
    throw new PermanentError(
      `Cannot deliver ${source.shown}: "${target}" on the SFTP server is another file with ${
        inWords(there)
      }, wanted ${inWords(source)}. It isn't overwritten: move it away, then ask for the delivery again.`,
    );
  }

  /** What is known of the remote file: its length, and its SHA-256 where that is to be verified and could still be the wanted one. */
  async #digest(remote: Remote, path: string, wanted: Digest): Promise<Partial<Digest>> {
    const facts = await remote.facts(path);
    if (facts === undefined) return {};
    if (facts.folder) {
      throw new PermanentError(
        `Cannot deliver to "${path}" on the SFTP server: a folder has that name. Move it away, then ask for the delivery again.`,
      );
    }
    if (facts.size !== wanted.bytes || this.options.verify === "size") return { bytes: facts.size };
    await using file = await remote.read(path);
    return await readBack(file, facts.size);
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

/** Removes what earlier deliveries of the same files left unfinished. */
async function sweep(remote: Remote, folder: string, sources: readonly Source[]): Promise<void> {
  const ours = new Set(sources.map(({ name }) => name));
  const isStale = (name: string) => ours.has(/^\.(.+)\.[0-9a-f]{12}\.part$/.exec(name)?.[1] ?? "");
  const names = await remote.names(folder).catch((error) => {
    // Some servers let nobody list the folder; leftovers are then theirs to remove.
    if (error instanceof PermanentError) return [];
    throw error;
  });
  for (const name of names.filter(isStale)) await remote.discard(posix.join(folder, name));
}

/** The temporary name, different each time: two deliveries of one file never write to the same one. */
function partOf(folder: string, name: string): string {
  return posix.join(folder, `.${name}.${crypto.randomUUID().slice(-12)}.part`);
}

function checkName(name: string): void {
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

function fromDisk(file: LocalFile): Source {
  const { kind, name, path, bytes, sha256, plainSha256 } = file;
  return { kind, name, shown: `"${path}"`, bytes, sha256, plainSha256, blocks: () => blocksOf(path) };
}

async function* blocksOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    using file = await Deno.open(path);
    const block = new Uint8Array(BLOCK);
    for (let n = await file.read(block); n !== null; n = await file.read(block)) yield block.subarray(0, n);
  } catch (error) {
    throw fileError("deliver", path, error);
  }
}
