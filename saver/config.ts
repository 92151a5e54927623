/**
 * The variables that only the saver reads.
 *
 * @module
 */
import { z } from "zod";
import type { ConfigOf } from "../shared/config/config.ts";
import {
  ActorVariables,
  ChannelVariables,
  list,
  LogVariables,
  MaskVariables,
  path,
  PipelineVariables,
  StorageVariables,
  whole,
} from "../shared/config/variables.ts";
import type { SftpOptions } from "./delivery/sftp.ts";

/** Every variable that the saver reads. */
export const SaverVariables = {
  SFTP_HOST: z.string().min(1).optional().describe(
    "SFTP server's host name. Unset: a saver alone delivers nothing; `start`, `run` and `demo` bring a local server.",
  ),
  SFTP_PORT: whole(1, 65535).default(22).describe("SFTP server's port. Default 22."),
  SFTP_USER: z.string().min(1).default("sftp_user").describe("User on the SFTP server. Default sftp_user."),
  SFTP_KEY_PATH: path().default("ssh_keys/id_rsa").describe(
    "File of the private key. Default ssh_keys/id_rsa.",
  ),
  SFTP_KEY_PASSPHRASE: z.string().optional().describe(
    "Passphrase of the private key, where it has one. Default: unset.",
  ),
  SFTP_REMOTE_DIR: z.string().startsWith("/", "wanted an absolute path on the server").default("/upload")
    .describe(
      "Folder on the SFTP server, made if missing. Default /upload.",
    ),
  SFTP_KNOWN_HOSTS: path().default("ssh_keys/known_hosts").describe(
    "File of host keys that are trusted. Default ssh_keys/known_hosts.",
  ),
  SFTP_HOST_KEY_POLICY: z.enum(["strict", "accept-new"], { error: "wanted strict or accept-new" }).default(
    "strict",
  ).describe(
    "strict: only keys in SFTP_KNOWN_HOSTS; accept-new: the first key seen is recorded there, another is refused. Default strict.",
  ),
  SFTP_VERIFY: z.enum(["content", "size"], { error: "wanted content or size" }).default("content").describe(
    "What is checked of an uploaded file before it gets its name: content (read back and hashed) or size. Default content.",
  ),
  SFTP_ENCRYPT_TO: list().refine(
    (all) => all.every((one) => one.startsWith("age1")),
    "wanted age recipients (age1…)",
  ).optional().describe(
    "age recipients, separated by commas; files are then delivered encrypted, as NAME.age, and kept so in DATA_DIR/sealed too. Default: unset.",
  ),
  RETENTION_DAYS: whole(1, 36_500).optional().describe(
    "Days after which local files are removed of runs whose files were all found on the SFTP server, by their content. " +
      "Look first with `deno task retention`. Default: unset, all files stay.",
  ),
  ...MaskVariables,
  ...PipelineVariables,
  ...ActorVariables,
  ...ChannelVariables,
  ...StorageVariables,
  ...LogVariables,
};

/** How to reach the SFTP server that is configured; undefined where none is. */
export function sftpOptionsOf(config: ConfigOf<typeof SaverVariables>): SftpOptions | undefined {
  if (config.SFTP_HOST === undefined) return undefined;
  return {
    host: config.SFTP_HOST,
    port: config.SFTP_PORT,
    user: config.SFTP_USER,
    keyPath: config.SFTP_KEY_PATH,
    passphrase: config.SFTP_KEY_PASSPHRASE,
    knownHosts: config.SFTP_KNOWN_HOSTS,
    hostKeyPolicy: config.SFTP_HOST_KEY_POLICY,
    remoteDir: config.SFTP_REMOTE_DIR,
    verify: config.SFTP_VERIFY,
  };
}
