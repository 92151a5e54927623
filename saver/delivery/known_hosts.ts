/**
 * OpenSSH's `known_hosts` file: the host keys that a server may show.
 *
 * Supports plain and hashed names, `[host]:port`, patterns (`*`, `?`, `!`), several keys for a host, and `@revoked`. Ignores lines with
 * `@cert-authority`, as host certificates aren't supported.
 */
import { createHash, createHmac } from "node:crypto";
import { Buffer } from "node:buffer";
import { PermanentError } from "../../shared/errors/errors.ts";
import { namedFileError } from "./failure.ts";

export interface HostKey {
  /** Such as `ssh-ed25519`. */
  readonly type: string;
  /** In SSH's wire format. */
  readonly blob: Uint8Array;
}

type Verdict =
  | { readonly kind: "known" | "unknown" | "revoked" }
  | { readonly kind: "changed"; readonly expected: readonly HostKey[] };

interface Entry extends HostKey {
  readonly names: string;
  readonly revoked: boolean;
}

/** The content of a `known_hosts` file when it was read. */
export class KnownHosts {
  private constructor(private readonly entries: readonly Entry[]) {}

  /** Reads `file`; a missing file has no entries. @throws PermanentError if it can't be read. */
  static async read(file: string): Promise<KnownHosts> {
    let text = "";
    try {
      text = await Deno.readTextFile(file);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        throw namedFileError("read the known hosts in", file, error);
      }
    }
    return KnownHosts.parse(text);
  }

  /** Ignores malformed lines, as OpenSSH does. */
  static parse(text: string): KnownHosts {
    return new KnownHosts(text.split("\n").flatMap((line) => entryOf(line) ?? []));
  }

  keysOf(host: string, port: number): HostKey[] {
    return this.#matching(host, port).filter((entry) => !entry.revoked);
  }

  /** Compares `key`, which the server at `host` and `port` has presented, with the known ones. */
  judge(host: string, port: number, key: HostKey): Verdict {
    const same = this.#matching(host, port).filter((entry) => equal(entry.blob, key.blob));
    if (same.some((entry) => entry.revoked)) return { kind: "revoked" };
    if (same.length > 0) return { kind: "known" };
    const expected = this.keysOf(host, port);
    return expected.length === 0 ? { kind: "unknown" } : { kind: "changed", expected };
  }

  #matching(host: string, port: number): Entry[] {
    const name = nameOf(host, port);
    return this.entries.filter((entry) => namesMatch(entry.names, name));
  }
}

/** The fingerprint in OpenSSH's format: `SHA256:` and base64 without padding. */
export function fingerprintOf(blob: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** Reads a key in SSH's wire format, which begins with its type. @throws PermanentError for any other format. */
export function hostKeyOf(blob: Uint8Array): HostKey {
  const length = blob.length < 4 ? Infinity : new DataView(blob.buffer, blob.byteOffset).getUint32(0);
  if (length > Math.min(blob.length - 4, 100)) {
    throw new PermanentError(
      "Cannot read the host key: it doesn't begin with its type. Is it an SSH server?",
    );
  }
  return { type: new TextDecoder().decode(blob.subarray(4, 4 + length)), blob };
}

/** The name in `known_hosts`: `host`, or `[host]:port` if the port isn't 22. */
function nameOf(host: string, port: number): string {
  return port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
}

/** The line of `known_hosts` for `key` and the server at `host` and `port`, with its line end. */
export function lineFor(host: string, port: number, key: HostKey): string {
  return `${nameOf(host, port)} ${key.type} ${Buffer.from(key.blob).toString("base64")}\n`;
}

/**
 * Adds `key` to `file`, which is created if missing. Appends one whole line by one write, so concurrent appends stay intact; it is on the disk when
 * this resolves.
 *
 * @throws PermanentError if the file can't be written.
 */
export async function recordHostKey(file: string, host: string, port: number, key: HostKey): Promise<void> {
  try {
    using known = await Deno.open(file, { read: true, append: true, create: true, mode: 0o644 });
    const line = new TextEncoder().encode(`${await endsLine(known) ? "" : "\n"}${lineFor(host, port, key)}`);
    for (let at = 0; at < line.length;) at += await known.write(line.subarray(at));
    await known.sync();
  } catch (error) {
    throw namedFileError("record the server's host key in", file, error);
  }
}

async function endsLine(file: Deno.FsFile): Promise<boolean> {
  const { size } = await file.stat();
  if (size === 0) return true;
  const last = new Uint8Array(1);
  await file.seek(size - 1, Deno.SeekMode.Start);
  await file.read(last);
  return last[0] === 0x0a;
}

function entryOf(line: string): Entry | undefined {
  const fields = line.trim().split(/[ \t]+/);
  const marker = fields[0]?.startsWith("@") ? fields.shift() : undefined;
  const [names, type, key] = fields;
  if (names === undefined || names.startsWith("#") || type === undefined || key === undefined) {
    return undefined;
  }
  if (marker !== undefined && marker !== "@revoked") return undefined;
  return { names, type, blob: Buffer.from(key, "base64"), revoked: marker === "@revoked" };
}

function namesMatch(names: string, name: string): boolean {
  if (names.startsWith("|1|")) {
    const [salt, hash] = names.slice(3).split("|");
    if (salt === undefined || hash === undefined) return false;
    return createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64") === hash;
  }
  const patterns = names.toLowerCase().split(",");
  if (patterns.some((pattern) => pattern.startsWith("!") && matches(pattern.slice(1), name))) return false;
  return patterns.some((pattern) => matches(pattern, name));
}

function matches(pattern: string, name: string): boolean {
  const source = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`).test(name);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
