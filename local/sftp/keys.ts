/** Key pairs for SFTP: created once, never overwritten. */
import { Buffer } from "node:buffer";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import ssh2, { type ParsedKey } from "ssh2";
import { fingerprintOf, hostKeyOf, KnownHosts, lineFor } from "../../saver/delivery/known_hosts.ts";
import { readPrivateKey } from "../../saver/delivery/private_key.ts";
import { PermanentError } from "../../shared/errors/errors.ts";
import { fileError, writeAtomically } from "../../shared/files/disk.ts";

export const KEY_TYPES = ["rsa", "ed25519"] as const;
type KeyType = (typeof KEY_TYPES)[number];

interface KeyOptions {
  /** Default `rsa`, with 4096 bits. */
  readonly type?: KeyType;
  /** Encrypts a new private key, or decrypts the existing one. */
  readonly passphrase?: string | undefined;
}

interface KeyPair {
  /** Path of the private key, mode 0600. */
  readonly privateKey: string;
  /** Path of the public key, one line as in `authorized_keys`. */
  readonly publicKey: string;
  /** Which of the two were just created. */
  readonly made: readonly string[];
}

/**
 * Creates `id_rsa` and `sftp_user.pub` in `dir` if they are missing; a missing public key is derived from the private
 * one.
 *
 * @throws PermanentError when only the public key exists, or the private one is unusable.
 */
export async function ensureKeys(dir: string, options: KeyOptions = {}): Promise<KeyPair> {
  return await ensurePair(join(dir, "id_rsa"), join(dir, "sftp_user.pub"), "sftp_user", options);
}

/**
 * Creates the server's host key in `path`, and its public key beside it, if they are missing. @throws PermanentError as
 * `ensureKeys`.
 */
export async function ensureHostKey(path: string): Promise<KeyPair> {
  return await ensurePair(path, `${path}.pub`, "host", { type: "ed25519" });
}

/**
 * Records in the known hosts `file` that the server at `host` and `port` has the key in `publicKey` and no other; lines
 * about other servers stay. Returns the key's fingerprint.
 */
export async function pinHostKey(
  file: string,
  host: string,
  port: number,
  publicKey: string,
): Promise<string> {
  const [parsed] = await readPublicKeys(publicKey);
  const key = hostKeyOf(parsed!.getPublicSSH());
  const text = await readIfThere(file) ?? "";
  const known = KnownHosts.parse(text).keysOf(host, port);
  if (known.length !== 1 || fingerprintOf(known[0]!.blob) !== fingerprintOf(key.blob)) {
    const others = text.split("\n").filter((line) =>
      line !== "" && KnownHosts.parse(line).keysOf(host, port).length === 0
    );
    await writeAtomically(file, [...others.map((line) => `${line}\n`), lineFor(host, port, key)].join(""));
  }
  return fingerprintOf(key.blob);
}

/** The public keys in `path`, one per line as in `authorized_keys`. @throws PermanentError when there is none. */
export async function readPublicKeys(path: string): Promise<ParsedKey[]> {
  const text = await readIfThere(path) ?? "";
  const keys = text.split("\n").map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ssh2.utils.parseKey(line))
    .flatMap((parsed) => parsed instanceof Error ? [] : [parsed].flat());
  if (keys.length > 0) return keys;
  throw new PermanentError(
    `Cannot read "${path}": wanted a public key, one a line. \`deno task keygen\` makes one.`,
  );
}

async function ensurePair(
  privateKey: string,
  publicKey: string,
  comment: string,
  { type = "rsa", passphrase }: KeyOptions,
): Promise<KeyPair> {
  const [hasPrivate, hasPublic] = [existsSync(privateKey), existsSync(publicKey)];
  if (hasPrivate && hasPublic) return { privateKey, publicKey, made: [] };
  if (hasPublic) {
    throw new PermanentError(
      `Cannot make the key pair: "${publicKey}" is there, but its private key "${privateKey}" is missing. ` +
        `Put the private key there, or remove the public one for a new pair.`,
    );
  }
  if (hasPrivate) {
    const key = await readPrivateKey(privateKey, passphrase);
    await writeNew(publicKey, publicLine(key, comment), 0o644);
    return { privateKey, publicKey, made: [publicKey] };
  }
  const pair = generate(type, passphrase);
  await writeNew(privateKey, pair.text, 0o600);
  await writeNew(publicKey, publicLine(pair.key, comment), 0o644);
  return { privateKey, publicKey, made: [privateKey, publicKey] };
}

function generate(type: KeyType, passphrase: string | undefined): { text: string; key: ParsedKey } {
  const encrypt: { passphrase: string; cipher: string; rounds: number } | Record<never, never> =
    passphrase === undefined ? {} : { passphrase, cipher: "aes256-ctr", rounds: 16 };
  for (;;) {
    const made = type === "rsa"
      ? ssh2.utils.generateKeyPairSync("rsa", { bits: 4096, ...encrypt })
      : ssh2.utils.generateKeyPairSync("ed25519", encrypt);
    const parsed = [ssh2.utils.parseKey(made.private, passphrase)].flat()[0];
    // ssh2 drops leading zeros of an ed25519 key, which makes one key in 256 unusable
    if (parsed !== undefined && !(parsed instanceof Error) && signs(parsed)) {
      return { text: made.private, key: parsed };
    }
  }
}

function signs(key: ParsedKey): boolean {
  try {
    const text = Buffer.from("a test");
    return key.verify(text, key.sign(text)) === true;
  } catch {
    return false;
  }
}

function publicLine(key: ParsedKey, comment: string): string {
  return `${key.type} ${key.getPublicSSH().toString("base64")} ${comment}\n`;
}

/**
 * Writes a file that must not exist yet. If two processes create the same key, one of them fails here, so that a pair
 * always matches.
 */
async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    using file = await Deno.open(path, { write: true, createNew: true, mode });
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    await file.sync();
  } catch (error) {
    throw fileError("write", path, error);
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  return await Deno.readTextFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw fileError("read", path, error);
  });
}
