import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFile } from "node:fs/promises";
import ssh2, { type SFTPWrapper } from "ssh2";
import { startOwn } from "../tests/support/sftp.ts";
import { ensureKeys } from "./sftp/keys.ts";
import { type SftpServer, startSftpServer } from "./sftp_server.ts";
import { openFilesOf } from "../tests/support/processes.ts";
import { needing } from "../tests/support/needs.ts";

const test = needing("sftp");

interface Served {
  readonly server: SftpServer;
  /** The served folder on the local disk. */
  readonly root: string;
  /** A folder beside it that clients can't reach. */
  readonly temp: string;
}

async function serving(body: (served: Served) => Promise<void>): Promise<void> {
  const temp = await Deno.makeTempDir({ prefix: "sftp-" });
  const root = `${temp}/root`;
  try {
    await using server = await startOwn(temp, root);
    await body({ server, root, temp });
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
}

/** Runs commands in OpenSSH's client; returns its output. A command with the prefix `-` may fail. */
async function sftp({ server, temp }: Served, ...commands: string[]): Promise<{ code: number; out: string }> {
  const process = new Deno.Command("sftp", {
    args: [
      ...["-b", "-", "-i", `${temp}/id_rsa`, "-F", "none", "-P", String(server.port)],
      ...["-o", `UserKnownHostsFile=${temp}/known_hosts`, "-o", "StrictHostKeyChecking=yes"],
      "sftp_user@127.0.0.1",
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = process.stdin.getWriter();
  await input.write(new TextEncoder().encode(commands.map((command) => `${command}\n`).join("")));
  await input.close();
  const { code, stdout, stderr } = await process.output();
  return { code, out: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** Speaks the protocol directly, for requests that OpenSSH's client doesn't make. */
async function speaking(
  { server, temp }: Served,
  body: (sftp: SFTPWrapper, ask: <T>(send: (done: Done<T>) => void) => Promise<T>) => Promise<void>,
): Promise<void> {
  const client = new ssh2.Client();
  const closed = new Promise<void>((resolve) => client.on("close", () => resolve()));
  const ask = <T>(send: (done: Done<T>) => void) =>
    new Promise<T>((resolve, reject) => send((error, value) => error ? reject(error) : resolve(value)));
  try {
    const privateKey = await readFile(`${temp}/id_rsa`);
    await new Promise<void>((resolve, reject) => {
      client.once("ready", resolve).once("error", reject);
      client.connect({ host: "127.0.0.1", port: server.port, username: "sftp_user", privateKey });
    });
    client.on("error", () => {});
    await body(await ask<SFTPWrapper>((done) => client.sftp(done)), ask);
  } finally {
    client.end();
    await closed;
  }
}

type Done<T> = (error: Error | null | undefined, value: T) => void;

/** Checks that an error has this protocol status. */
function status(code: number): (error: Error & { code?: unknown }) => boolean {
  return (error) => {
    assert.equal(error.code, code, error.message);
    return true;
  };
}
const NO_SUCH_FILE = 2, PERMISSION_DENIED = 3, FAILURE = 4;

test("OpenSSH's client puts, lists, gets, renames and removes files and folders", async () => {
  await serving(async (served) => {
    const { root, temp } = served;
    const content = crypto.getRandomValues(new Uint8Array(60_000)).toString().repeat(10);
    await Deno.writeTextFile(`${temp}/local`, content);
    const put = await sftp(
      served,
      "pwd",
      "ls",
      "cd upload",
      "mkdir days",
      `put -p ${temp}/local days/file`,
      "chmod 600 days/file",
      "ls -l days",
      `get days/file ${temp}/back`,
      "rename days/file days/renamed",
      "ln days/renamed days/link",
    );
    assert.equal(put.code, 1, "links are not offered");
    assert.match(put.out, /Remote working directory: \/\n/);
    assert.match(put.out, /^upload\s*$/m);
    assert.match(put.out, new RegExp(`-rw------- 1 .* ${content.length} .* (days/)?file`));
    assert.equal(await Deno.readTextFile(`${temp}/back`), content);
    assert.equal(await Deno.readTextFile(`${root}/days/renamed`), content);
    assert.equal((await Deno.stat(`${root}/days/renamed`)).mode! & 0o777, 0o600);

    await Deno.writeTextFile(`${root}/other`, "stays");
    const renamed = await sftp(served, "-rename /upload/days/renamed /upload/other", "-rmdir /upload/days");
    assert.match(renamed.out, /remote rename .*: Failure\r?\n.*remote rmdir .*: Failure/);
    assert.equal(await Deno.readTextFile(`${root}/other`), "stays");
    assert.equal(await Deno.readTextFile(`${root}/days/renamed`), content);

    const removed = await sftp(served, "rm /upload/days/renamed", "rmdir /upload/days", "rm /upload/other");
    assert.equal(removed.code, 0, removed.out);
    assert.deepEqual(await Array.fromAsync(Deno.readDir(root)), []);
  });
});

test("a folder of many files is listed completely", async () => {
  await serving(async (served) => {
    for (let i = 0; i < 250; i++) await Deno.writeTextFile(`${served.root}/file${i}`, "");
    const { out } = await sftp(served, "ls -1 upload");
    assert.equal(out.match(/^upload\/file\d+$/gm)?.length, 250);
  });
});

Deno.test("no path leads out of the folder: neither dots nor links", async () => {
  await serving(async (served) => {
    const { root, temp } = served;
    await Deno.writeTextFile(`${temp}/secret`, "secret");
    await Deno.mkdir(`${temp}/outside`);
    await Deno.symlink(`${temp}/secret`, `${root}/link`);
    await Deno.symlink(`${temp}/outside`, `${root}/folder`);
    await Deno.symlink(`${temp}/outside/new`, `${root}/dangling`);
    await Deno.symlink(`${root}/inside`, `${root}/good`);
    await Deno.writeTextFile(`${root}/inside`, "inside");
    await speaking(served, async (sftp, ask) => {
      const open = (path: string, flags: "r" | "w" | "wx") =>
        ask<Buffer>((done) => sftp.open(path, flags, done));
      for (
        const path of ["/upload/../../secret", "../secret", "/secret", temp, `${temp}/secret`, "/upload/none"]
      ) {
        await assert.rejects(open(path, "r"), status(NO_SUCH_FILE), path);
      }
      for (const path of ["/upload/link", "/upload/folder/x"]) {
        await assert.rejects(open(path, "r"), status(PERMISSION_DENIED), path);
      }
      for (const path of ["/upload/link", "/upload/folder/x", "/upload/dangling", "/x", "/upload/../../x"]) {
        await assert.rejects(open(path, "w"), status(PERMISSION_DENIED), path);
      }
      const denied = status(PERMISSION_DENIED);
      await assert.rejects(ask((done) => sftp.readdir("/upload/folder", done)), denied);
      await assert.rejects(ask((done) => sftp.stat("/upload/link", done)), denied);
      await assert.rejects(ask<void>((done) => sftp.mkdir("/new", done)), denied);
      await assert.rejects(ask<void>((done) => sftp.mkdir("/upload/folder/new", done)), denied);
      await assert.rejects(ask<void>((done) => sftp.unlink("/upload/folder/x", done)), denied);
      await assert.rejects(ask<void>((done) => sftp.rmdir("/upload", done)), denied);
      await assert.rejects(
        ask<void>((done) => sftp.rename("/upload/inside", "/upload/folder/x", done)),
        denied,
      );
      await assert.rejects(ask<void>((done) => sftp.setstat("/upload/link", { mode: 0o777 }, done)), denied);
      await ask<void>((done) => sftp.close(Buffer.from([0, 0, 0, 0]), done)).then(
        () => assert.fail("a handle that nobody opened"),
        status(FAILURE),
      );
      const handle = await open("/upload/good", "r");
      await ask<void>((done) => sftp.close(handle, done));
    });
    assert.deepEqual(await Array.fromAsync(Deno.readDir(`${temp}/outside`)), []);
    assert.equal(await Deno.readTextFile(`${temp}/secret`), "secret");
    assert.equal(await Deno.readTextFile(`${root}/inside`), "inside");
  });
});

Deno.test("exclusive creation of an existing file is refused", async () => {
  await serving(async (served) => {
    await Deno.writeTextFile(`${served.root}/there`, "stays");
    await speaking(served, async (sftp, ask) => {
      await assert.rejects(ask((done) => sftp.open("/upload/there", "wx", done)), status(FAILURE));
      await assert.rejects(ask((done) => sftp.open("/upload", "r", done)), status(FAILURE));
    });
    assert.equal(await Deno.readTextFile(`${served.root}/there`), "stays");
  });
});

Deno.test("files that a client left open are closed when it disconnects", async () => {
  await serving(async (served) => {
    const openFiles = async () =>
      (await openFilesOf(Deno.pid)).filter((path) => path.startsWith(served.root)).length;
    await speaking(served, async (sftp, ask) => {
      for (let i = 0; i < 3; i++) await ask((done) => sftp.open(`/upload/${i}`, "w", done));
      assert.equal(await openFiles(), 3);
    });
    await served.server.close();
    assert.equal(await openFiles(), 0);
  });
});

test("the key file is read at each login, and passwords are refused", async () => {
  await serving(async (served) => {
    const { publicKey } = await ensureKeys(`${served.temp}/other`, { type: "ed25519" });
    await Deno.copyFile(publicKey, `${served.temp}/sftp_user.pub`);
    const refused = await sftp(served, "ls");
    assert.equal(refused.code, 255);
    assert.match(refused.out, /Permission denied \(publickey\)/);
  });
});

Deno.test("without an authorized key it doesn't start", async () => {
  const temp = await Deno.makeTempDir();
  try {
    await assert.rejects(
      startSftpServer({
        root: temp,
        port: 0,
        user: "u",
        authorizedKey: `${temp}/missing.pub`,
        hostKey: `${temp}/host`,
      }),
      /wanted a public key/,
    );
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
});

Deno.test("the program reports its address, and ends cleanly on SIGTERM", async () => {
  const temp = await Deno.makeTempDir();
  try {
    await ensureKeys(temp, { type: "ed25519" });
    const process = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1"],
        ...[`--allow-read=${temp}`, `--allow-write=${temp}`],
        new URL("sftp_server.ts", import.meta.url).pathname,
        ...["--root", `${temp}/sftp_data/`, "--authorized-key", `${temp}/sftp_user.pub`],
        ...["--host-key", `${temp}/host`, "--known-hosts", `${temp}/known`],
      ],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const output = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value } = await output.read();
    const port = /^SFTP server listens on 127\.0\.0\.1:(\d+), serves .*\/sftp_data\/ to sftp_user\n$/
      .exec(value ?? "")?.[1];
    assert.ok(port !== undefined, `it says ${value}`);
    assert.match(
      await Deno.readTextFile(`${temp}/known`),
      new RegExp(`^\\[127\\.0\\.0\\.1\\]:${port} ssh-ed25519 `),
    );
    assert.equal((await Deno.stat(`${temp}/host`)).mode! & 0o777, 0o600);
    process.kill("SIGTERM");
    assert.equal((await process.status).code, 0);
    await output.cancel();
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
});
