/** Tests servers that follow the protocol in other ways than OpenSSH. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { basename } from "node:path";
import ssh2, { type FileEntry, type SFTPWrapper } from "ssh2";
import { Jail } from "../../local/sftp/jail.ts";
import { ensureHostKey, ensureKeys } from "../../local/sftp/keys.ts";
import { serveSession } from "../../local/sftp/session.ts";
import { PermanentError, TransientError } from "../../shared/errors/errors.ts";
import { MANIFEST } from "../../tests/support/sftp.ts";
import type { LocalFile } from "./delivery.ts";
import { sftpDelivery, type SftpOptions } from "./sftp.ts";

/** Answers a request. `root` is the server's folder; `asked` holds the request's arguments, the path first. */
type Answer = (sftp: SFTPWrapper, id: number, root: string, ...asked: unknown[]) => Promise<void> | void;

/** Delivers the manifest to our server with its answers replaced by `answers`; returns the names of the files there. */
async function deliverTo(
  answers: Record<string, Answer>,
  options: Partial<SftpOptions> = {},
  texts: readonly string[] = [],
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
    const files = await Promise.all(texts.map((text, at) => fileOf(text, `${temp}/${at}.jsonl`)));
    const delivered = await delivery.deliver(files, MANIFEST, { signal: AbortSignal.timeout(30_000) });
    return delivered.map(({ remotePath }) => remotePath);
  } finally {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
    for await (const { name } of Deno.readDir(`${temp}/root`)) assert.doesNotMatch(name, /\.part$/);
    await Deno.remove(temp, { recursive: true });
  }

  function serveOddly(sftp: SFTPWrapper, root: string): void {
    const on = sftp.on.bind(sftp) as (event: string, listener: (...args: never[]) => void) => SFTPWrapper;
    sftp.on = ((event: string, listener: (...args: never[]) => void) => {
      const answer = answers[event];
      return on(
        event,
        answer === undefined
          ? listener
          : (id: number, ...asked: unknown[]) => void answer(sftp, id, root, ...asked),
      );
    }) as SFTPWrapper["on"];
    serveSession(sftp, new Jail(root, "/upload"));
  }
}

async function fileOf(text: string, path: string): Promise<LocalFile> {
  await Deno.writeTextFile(path, text);
  const sha256 = createHash("sha256").update(text).digest("hex");
  return { kind: "raw", path, name: basename(path), sha256, bytes: text.length };
}

Deno.test("a server that ends a list with an empty page gets its files", async () => {
  assert.deepEqual(await deliverTo({ READDIR: (sftp, id) => sftp.name(id, []) }), [
    `/upload/${MANIFEST.name}`,
  ]);
});

Deno.test("a server that returns a relative path for the home gets its files there", async () => {
  const home = { filename: "upload", longname: "", attrs: {} } as FileEntry;
  const names = await deliverTo({ REALPATH: (sftp, id) => sftp.name(id, [home]) }, { remoteDir: "in/box" });
  assert.deepEqual(names, [`/upload/in/box/${MANIFEST.name}`]);
});

Deno.test("the server's error text is shortened and can't control a terminal", async () => {
  const says = `\x1b[31m\u202equota\n${"é".repeat(10_000)}`;
  const failure = await deliverTo({ WRITE: (sftp, id) => sftp.status(id, 4, says) }).catch((error) => error);
  assert.ok(failure instanceof TransientError, String(failure));
  assert.match(failure.message, /the server answers "\[31m quota é{180,}…"\. Is its disk or quota full\?/);
  assert.ok(failure.message.length < 500);
});

Deno.test("a rename that a server only reports is no delivery", async () => {
  const failure = await deliverTo({ RENAME: (sftp, id) => sftp.status(id, 0) }).catch((error) => error);
  assert.ok(failure instanceof PermanentError, String(failure));
  assert.match(
    failure.message,
    /reports that it renamed "[^"]+\.part", but "[^"]+\.json" has nothing, wanted 16 bytes\. See that the server/,
  );
});

Deno.test("a rename that cuts a file off is no delivery", async () => {
  const failure = await deliverTo({
    RENAME: async (sftp, id, root, from, to) => {
      await Deno.rename(onDisk(root, from), onDisk(root, to));
      await Deno.truncate(onDisk(root, to), 3);
      sftp.status(id, 0);
    },
  }).catch((error) => error);
  assert.ok(failure instanceof PermanentError, String(failure));
  assert.match(failure.message, /has 3 bytes, wanted 16 bytes/);
});

Deno.test("a receiver may take each file away as soon as it has its name", async () => {
  const take: Answer = async (sftp, id, root, from) => {
    await Deno.remove(onDisk(root, from));
    sftp.status(id, 0);
  };
  assert.deepEqual(await deliverTo({ RENAME: take }, {}, ["1\n"]), [
    "/upload/0.jsonl",
    `/upload/${MANIFEST.name}`,
  ]);
});

/** Returns the path on the server's disk of a path below `/upload`. */
function onDisk(root: string, path: unknown): string {
  return `${root}/${basename(String(path))}`;
}
