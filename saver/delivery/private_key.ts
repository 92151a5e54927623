import { Buffer } from "node:buffer";
import ssh2, { type ParsedKey } from "ssh2";
import { PermanentError } from "../../shared/errors/errors.ts";
import { namedFileError } from "./failure.ts";

/** @throws PermanentError if the file is missing, can't be read, holds no private key that ssh2 supports, or `passphrase` doesn't decrypt it. */
export async function readPrivateKey(path: string, passphrase?: string): Promise<ParsedKey> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    throw namedFileError("read the private key in", path, error);
  }
  const refuse = (why: string) => new PermanentError(`Cannot use the private key in "${path}": ${why}.`);
  const encrypted = isEncrypted(text);
  if (encrypted && passphrase === undefined) {
    throw refuse("it is encrypted. Put its passphrase into SFTP_KEY_PASSPHRASE");
  }
  const parsed = ssh2.utils.parseKey(text, passphrase);
  const key: ParsedKey | Error | undefined = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key === undefined || key instanceof Error) {
    throw refuse(
      encrypted
        ? "SFTP_KEY_PASSPHRASE doesn't open it. Correct the passphrase"
        : "wanted OpenSSH's format. `ssh-keygen -p -f FILE` rewrites a key in that format, `deno task keygen` makes a new one",
    );
  }
  if (!key.isPrivateKey()) {
    throw refuse(
      "it is a public key. Let SFTP_KEY_PATH name the private one, by custom the file without .pub",
    );
  }
  return key;
}

/** Whether the key needs a passphrase; false for a text that isn't a key. */
function isEncrypted(text: string): boolean {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([^-]+)-----END/.exec(text)?.[1];
  if (body === undefined) return /^Proc-Type: 4,ENCRYPTED|BEGIN ENCRYPTED|^Encryption: (?!none)/m.test(text);
  // "openssh-key-v1", NUL, then the name of the cipher after its length
  const head = Buffer.from(body, "base64").subarray(0, 15 + 4 + 4).toString("latin1");
  return head.startsWith("openssh-key-v1\0") && !head.endsWith("none");
}
