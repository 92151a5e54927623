/**
 * Prepares what the containers need: keys on both sides, the server's host key in the saver's known hosts, and folders
 * that belong to the services' user. Existing keys stay; a repeated run changes nothing.
 */
import { messageOf, PermanentError } from "../../shared/errors/errors.ts";
import { EXIT, runCommand, say } from "../command_line.ts";
import { ensureHostKey, ensureKeys, pinHostKey } from "../../local/sftp/keys.ts";

export interface PrepareOptions {
  /** Folder of the users' keys: `id_rsa`, `sftp_user.pub`, `known_hosts` and the server's `ssh_host_ed25519_key`. */
  readonly keys: string;
  /**
   * Folder of copies for the SFTP server, which has access to nothing else. They keep the user that runs this program.
   */
  readonly serverKeys: string;
  /** Folders that the services write to; their owner is changed recursively. */
  readonly folders: readonly string[];
  /** Folders that the services or the SFTP server write to; their owner is changed without their content. */
  readonly shallow: readonly string[];
  readonly uid: number;
  readonly gid: number;
  /** Decrypts the private key, if it is encrypted and its public one is missing. */
  readonly passphrase?: string | undefined;
}

/** Returns a line for each change. @throws PermanentError naming what is unusable. */
export async function prepare(options: PrepareOptions): Promise<string[]> {
  const { keys, serverKeys } = options;
  const pair = await ensureKeys(keys, { passphrase: options.passphrase });
  const host = await ensureHostKey(`${keys}/ssh_host_ed25519_key`);
  const fingerprint = await pinHostKey(`${keys}/known_hosts`, "sftp", 22, host.publicKey);
  await copy(pair.publicKey, `${serverKeys}/sftp_user.pub`, 0o644);
  await copy(host.privateKey, `${serverKeys}/ssh_host_ed25519_key`, 0o600);
  for (const secret of [pair.privateKey, host.privateKey]) await Deno.chmod(secret, 0o600);
  for (const folder of [keys, ...options.folders]) await own(folder, options, true);
  for (const folder of options.shallow) await own(folder, options, false);
  return [
    ...[...pair.made, ...host.made].map((path) => `Made ${path}.`),
    `The SFTP server's host key is ${fingerprint}.`,
  ];
}

async function copy(from: string, to: string, mode: number): Promise<void> {
  const text = await Deno.readTextFile(from).catch((error) => {
    throw new PermanentError(
      `Cannot read "${from}": ${messageOf(error)}. Let the user that runs this read it, then start again.`,
      { cause: error },
    );
  });
  await Deno.writeTextFile(to, text, { mode });
  await Deno.chmod(to, mode);
}

/** Changes the owner of `path` to the services' user. Links aren't followed: they could lead anywhere. */
async function own(path: string, owner: { uid: number; gid: number }, deep: boolean): Promise<void> {
  const facts = await Deno.lstat(path);
  if (facts.isSymlink) return;
  if (facts.uid !== owner.uid || facts.gid !== owner.gid) {
    await Deno.chown(path, owner.uid, owner.gid).catch((error) => {
      throw new PermanentError(
        `Cannot give "${path}" to user ${owner.uid}: ${messageOf(error)}. ` +
          `Change its owner by hand, or set APP_UID and APP_GID to those it has, then start again.`,
        { cause: error },
      );
    });
  }
  if (!deep || !facts.isDirectory) return;
  for await (const entry of Deno.readDir(path)) await own(`${path}/${entry.name}`, owner, true);
}

if (import.meta.main) {
  await runCommand({ help: "prepare.ts" }, async () => {
    const notes = await prepare({
      keys: "ssh_keys",
      serverKeys: "sftp_keys",
      folders: ["data", "database"],
      shallow: ["sftp_data"],
      uid: Number(Deno.env.get("APP_UID") ?? 1000),
      gid: Number(Deno.env.get("APP_GID") ?? 1000),
      passphrase: Deno.env.get("SFTP_KEY_PASSPHRASE"),
    });
    notes.forEach(say);
    return EXIT.ok;
  });
}
