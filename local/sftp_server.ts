import { numberOf, runCommand } from "../cli/command_line.ts";
import { serveUntilStopped } from "./serve.ts";
import { startSftpServer } from "./sftp/server.ts";

export { type SftpServer, type SftpServerOptions, startSftpServer } from "./sftp/server.ts";

const HELP = `deno run local/sftp_server.ts [--root sftp_data] [--port 0] [--user sftp_user]
  [--authorized-key ssh_keys/sftp_user.pub] [--host-key ssh_keys/ssh_host_ed25519_key] [--known-hosts FILE]

A local SFTP server, until Ctrl-C.`;

const OPTIONS = {
  root: { type: "string", default: "sftp_data" },
  port: { type: "string", default: "0" },
  user: { type: "string", default: "sftp_user" },
  "authorized-key": { type: "string", default: "ssh_keys/sftp_user.pub" },
  "host-key": { type: "string", default: "ssh_keys/ssh_host_ed25519_key" },
  "known-hosts": { type: "string" },
  "with-parent": { type: "boolean" },
} as const;

if (import.meta.main) {
  await runCommand({ help: HELP, options: OPTIONS }, async ({ values }) => {
    const { root, user } = values;
    const server = await startSftpServer({
      root,
      user,
      port: numberOf("port", values.port, { max: 65_535 }),
      authorizedKey: values["authorized-key"],
      hostKey: values["host-key"],
      knownHosts: values["known-hosts"],
    });
    const folder = `${root.replace(/\/$/, "")}/`;
    const ready = `SFTP server listens on 127.0.0.1:${server.port}, serves ${folder} to ${user}`;
    return await serveUntilStopped(server, ready);
  });
}
