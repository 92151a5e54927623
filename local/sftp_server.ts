/**
 * `deno run local/sftp_server.ts [--root sftp_data] [--mount /upload] [--port 0] [--host 127.0.0.1] [--user sftp_user]
 * [--authorized-key ssh_keys/sftp_user.pub] [--host-key ssh_keys/ssh_host_ed25519_key] [--known-hosts FILE]`: a local SFTP server, until Ctrl-C.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { type SftpServer, type SftpServerOptions, startSftpServer } from "./sftp/server.ts";

export { type SftpServer, type SftpServerOptions, startSftpServer } from "./sftp/server.ts";

/** Reads the command line. @throws Error naming the option, its value and what was wanted. */
export function sftpServerOptions(args: string[]): SftpServerOptions {
  const { values } = parseArgs({
    args,
    options: {
      root: { type: "string", default: "sftp_data" },
      mount: { type: "string", default: "/upload" },
      port: { type: "string", default: "0" },
      host: { type: "string", default: "127.0.0.1" },
      user: { type: "string", default: "sftp_user" },
      "authorized-key": { type: "string", default: "ssh_keys/sftp_user.pub" },
      "host-key": { type: "string", default: "ssh_keys/ssh_host_ed25519_key" },
      "known-hosts": { type: "string" },
    },
  });
  const port = Number(values.port);
  if (values.port === "" || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Error(
      `Cannot start the SFTP server: --port is ${
        JSON.stringify(values.port)
      }, wanted a whole number from 0 to 65535.`,
    );
  }
  return {
    root: values.root,
    mount: values.mount,
    port,
    host: values.host,
    user: values.user,
    authorizedKey: values["authorized-key"],
    hostKey: values["host-key"],
    knownHosts: values["known-hosts"],
  };
}

async function main(args: string[]): Promise<number> {
  const say = (out: typeof Deno.stdout | typeof Deno.stderr, line: string) =>
    out.write(new TextEncoder().encode(`${line}\n`));
  let options: SftpServerOptions;
  try {
    options = sftpServerOptions(args);
  } catch (error) {
    await say(Deno.stderr, error instanceof Error ? error.message : String(error));
    return 2;
  }
  let server: SftpServer;
  try {
    server = await startSftpServer(options);
  } catch (error) {
    await say(Deno.stderr, error instanceof Error ? error.message : String(error));
    return 1;
  }
  const stop = () => void server.close();
  for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, stop);
  await say(
    Deno.stdout,
    `SFTP server listens on ${options.host}:${server.port}, serves ${
      options.root.replace(/\/$/, "")
    }/ to ${options.user}`,
  );
  await server.finished;
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
