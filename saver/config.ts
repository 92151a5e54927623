import { Buffer } from "node:buffer";
import { z } from "zod";
import type { ConfigOf } from "../shared/config/config.ts";
import { scheduleVariables } from "../shared/config/schedule.ts";
import {
  ActorVariables,
  ChannelVariables,
  DatabaseVariables,
  FilesVariables,
  list,
  LogVariables,
  MaskVariables,
  path,
  PipelineVariables,
  s3PlaceOf,
  StorageVariables,
  whole,
} from "../shared/config/variables.ts";
import { ConfigError } from "../shared/errors/errors.ts";
import users from "../pipelines/users.ts";
import type { SftpOptions } from "./delivery/sftp.ts";
import { type Receiver, receiverAt } from "./notify/receivers.ts";

const WEBHOOK_WANTED = "wanted http or https addresses without user and password, at most 20";
const webhook = z.url({ protocol: /^https?$/, error: WEBHOOK_WANTED }).refine((text) => {
  const url = URL.parse(text);
  return url?.username === "" && url.password === "";
}, WEBHOOK_WANTED);

const KEY = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
const KEY_WANTED =
  'wanted whsec_ and 24 to 64 bytes in base64, such as: echo "whsec_$(openssl rand -base64 32)"; several separated by spaces';
const signingKey = z.string().regex(KEY, KEY_WANTED)
  .transform((text) => new Uint8Array(Buffer.from(text.replace(KEY, "$1"), "base64")))
  .refine(({ length }) => length >= 24 && length <= 64, KEY_WANTED);

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
    "File of trusted host keys. Default ssh_keys/known_hosts.",
  ),
  SFTP_HOST_KEY_POLICY: z.enum(["strict", "accept-new"], { error: "wanted strict or accept-new" }).default(
    "strict",
  ).describe(
    "strict: only keys in SFTP_KNOWN_HOSTS; accept-new: the first key seen is recorded there, another is refused. Default strict.",
  ),
  SFTP_VERIFY: z.enum(["content", "size"], { error: "wanted content or size" }).default("content").describe(
    "How an uploaded file is verified before it gets its name: content (read back and hashed) or size. Default content.",
  ),
  SFTP_ENCRYPT_TO: list().refine(
    (all) => all.every((one) => one.startsWith("age1")),
    "wanted age recipients (age1…)",
  ).optional().describe(
    "age recipients, separated by commas; files are then delivered encrypted, as NAME.age; the encrypted files are also kept in DATA_DIR/sealed. Default: unset.",
  ),
  RETENTION_DAYS: whole(1, 36_500).optional().describe(
    "Age in days at which a run's local files are removed, if all its files were verified on the SFTP server by their content. " +
      "Look first with `deno task retention`. Default: unset, all files stay.",
  ),
  KEEP_RUNS_DAYS: z.union(
    [z.literal("off"), whole(1, 36_500)],
    "wanted off, or a number of days from 1 to 36500",
  )
    .default("off").describe(
      "Days after its end at which a run's records and events are removed from the database, except those that the current state or " +
        "an uncorrected invalid record needs. Look first with `deno task retention`. Default off: all stay.",
    ),
  NOTIFY_URL: list().pipe(z.array(webhook).max(20, WEBHOOK_WANTED)).optional().describe(
    "Addresses, separated by commas, that get a signed POST about failed, held and late runs, pending deliveries, dead letters and changed fields. Default: unset.",
  ),
  NOTIFY_SECRET: z.string().transform((text) => text.split(/\s+/).filter((key) => key !== ""))
    .pipe(z.array(signingKey).min(1, KEY_WANTED)).optional().describe(
      "Key for signing notifications, as whsec_ and base64 (Standard Webhooks); several, separated by spaces, during a change of keys. Required with NOTIFY_URL.",
    ),
  NOTIFY_LATE_MINUTES: whole(1, 10_080).default(60).describe(
    "Minutes after its planned time at which a run is late unless it has completed, 1 to 10080. Default 60.",
  ),
  PUBLIC_URL: z.url({ protocol: /^https?$/, error: "wanted an address such as https://etl.example.com" })
    .optional().describe(
      "Address at which people open the dashboard, for the links in notifications. Default: unset, no links.",
    ),
  ...scheduleVariables(users.schedule),
  HOLD_RUNS: z.enum(["on", "off"], { error: "wanted on or off" }).default("on").describe(
    "on: runs beyond the limits of their pipeline's `hold` wait for a person before their load; off: all are loaded. Default on.",
  ),
  ...MaskVariables,
  ...PipelineVariables,
  ...ActorVariables,
  ...ChannelVariables,
  ...FilesVariables,
  ...DatabaseVariables,
  DB_PATH: StorageVariables.DB_PATH,
  ...LogVariables,
};

/** Undefined if no SFTP server is configured. */
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
    files: s3PlaceOf(config),
  };
}

/** @throws ConfigError if a receiver is configured without a secret. */
export function notifyOptionsOf(
  { NOTIFY_URL = [], NOTIFY_SECRET: keys = [] }: Pick<
    ConfigOf<typeof SaverVariables>,
    "NOTIFY_URL" | "NOTIFY_SECRET"
  >,
): { receivers: Receiver[]; keys: Uint8Array[] } {
  if (NOTIFY_URL.length > 0 && keys.length === 0) {
    throw new ConfigError("saver", [`NOTIFY_SECRET is unset, but NOTIFY_URL is set: ${KEY_WANTED}`]);
  }
  return { receivers: [...new Set(NOTIFY_URL)].map(receiverAt), keys };
}
