/**
 * The server with the delivered files: the configured one, or a local one over the folder that `start`, `run` and
 * `demo` deliver to.
 */
import { dirname, join } from "node:path";
import { sftpOptionsOf } from "../../saver/config.ts";
import { Inspection } from "../../saver/delivery/inspect.ts";
import { loadConfig } from "../../shared/config/config.ts";
import { fileError } from "../../shared/files/disk.ts";
import { type Environment, VARIABLES } from "../services.ts";
import { startSftpServer } from "../../local/sftp_server.ts";

/** Connects at the first call; later calls share the connection, or its error. */
export function lazyServer(env: Environment, resources: AsyncDisposableStack): () => Promise<Inspection> {
  let opened: Promise<Inspection> | undefined;
  return () => opened ??= open(env, resources);
}

async function open(env: Environment, resources: AsyncDisposableStack): Promise<Inspection> {
  const config = loadConfig("verify", VARIABLES.saver, env);
  const configured = sftpOptionsOf(config) ?? await localServer(env, resources);
  // a command that only reads trusts no new host
  const login = { ...configured, hostKeyPolicy: "strict" as const };
  return resources.use(await Inspection.open(login, new AbortController().signal));
}

async function localServer(env: Environment, resources: AsyncDisposableStack) {
  const { SFTP_KEY_PATH, SFTP_USER } = loadConfig("verify", VARIABLES.saver, env);
  const keys = dirname(SFTP_KEY_PATH);
  // a temporary file: the port changes each time, and must not be added to the configured servers' hosts
  const knownHosts = await Deno.makeTempFile({ dir: keys, prefix: ".verify_", suffix: ".known_hosts" })
    .catch((error) => {
      throw fileError("write a file in", keys, error);
    });
  resources.defer(() => Deno.remove(knownHosts));
  const server = resources.use(
    await startSftpServer({
      root: "sftp_data",
      port: 0,
      user: SFTP_USER,
      authorizedKey: join(keys, "sftp_user.pub"),
      hostKey: join(keys, "ssh_host_ed25519_key"),
      knownHosts,
    }),
  );
  const here = { SFTP_HOST: "127.0.0.1", SFTP_PORT: `${server.port}`, SFTP_KNOWN_HOSTS: knownHosts };
  return sftpOptionsOf(loadConfig("verify", VARIABLES.saver, { ...env, ...here }))!;
}
