/** Servers that keep to the protocol in another way than OpenSSH. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import ssh2, { type FileEntry, type SFTPWrapper } from "ssh2";
import { Jail } from "../../local/sftp/jail.ts";
import { ensureHostKey, ensureKeys } from "../../local/sftp/keys.ts";
import { serveSession } from "../../local/sftp/session.ts";
import { TransientError } from "../../shared/errors/errors.ts";
import { MANIFEST } from "../../tests/support/sftp.ts";
import { sftpDelivery, type SftpOptions } from "./sftp.ts";

type Answer = (sftp: SFTPWrapper, id: number) => void;

/** Delivers the manifest to our server, which gives other answers to the requests in `answers`; returns the names on it. */
async function deliverTo(
  answers: Record<string, Answer>,
  options: Partial<SftpOptions> = {},
): Promise<string[]> {
  const temp = await Deno.makeTempDir({ prefix: "odd-" });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => void sockets.add(socket));
  try {
    const root = `${temp}/root`;
    await Deno.mkdir(root);
    const [keys, host] = [await ensureKeys(temp, { type: "ed25519" }), await ensureHostKey(`${temp}/host`)];
    const ssh = new ssh2.Server({
      hostKeys: [await Deno.readTextFile(host.privateKey)],
      algorithms: { cipher: ["aes128-gcm@openssh.com"] },
    }, (connection) => {
      connection.on("error", () => {});
      connection.on("authentication", (context) => context.accept());
      connection.on("session", (accept) => void accept().on("sftp", (start) => serveOddly(start(), root)));
    });
    server.on("connection", (socket) => ssh.injectSocket(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    await using delivery = sftpDelivery({
      host: "127.0.0.1",
      port: (server.address() as AddressInfo).port,
      user: "sftp_user",
      keyPath: keys.privateKey,
      knownHosts: `${temp}/known_hosts`,
      hostKeyPolicy: "accept-new",
      remoteDir: "/upload",
      verify: "content",
      ...options,
    });
    const delivered = await delivery.deliver([], MANIFEST, { signal: AbortSignal.timeout(30_000) });
    return delivered.map(({ remotePath }) => remotePath);
  } finally {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
    await Deno.remove(temp, { recursive: true });
  }

  function serveOddly(sftp: SFTPWrapper, root: string): void {
    const on = sftp.on.bind(sftp) as (event: string, listener: (...args: never[]) => void) => SFTPWrapper;
    sftp.on = ((event: string, listener: (...args: never[]) => void) => {
      const answer = answers[event];
      return on(event, answer === undefined ? listener : (id: number) => answer(sftp, id));
    }) as SFTPWrapper["on"];
    serveSession(sftp, new Jail(root, "/upload"));
  }
}

Deno.test("a server that ends a list by an empty page gets its files", async () => {
  assert.deepEqual(await deliverTo({ READDIR: (sftp, id) => sftp.name(id, []) }), [
    `/upload/${MANIFEST.name}`,
  ]);
});

Deno.test("a server that names the home by a relative path gets its files there", async () => {
  const home = { filename: "upload", longname: "", attrs: {} } as FileEntry;
  const names = await deliverTo({ REALPATH: (sftp, id) => sftp.name(id, [home]) }, { remoteDir: "in/box" });
  assert.deepEqual(names, [`/upload/in/box/${MANIFEST.name}`]);
});

Deno.test("what a server says of a failure is short, and steers no terminal", async () => {
  const says = `\x1b[31m\u202equota\n${"é".repeat(10_000)}`;
  const failure = await deliverTo({ WRITE: (sftp, id) => sftp.status(id, 4, says) }).catch((error) => error);
  assert.ok(failure instanceof TransientError, String(failure));
  assert.match(failure.message, /the server answers "\[31m quota é{180,}…"\. Is its disk or quota full\?/);
  assert.ok(failure.message.length < 500);
});
