import assert from "node:assert/strict";
import { ensureHostKey, ensureKeys, pinHostKey, readPublicKeys } from "../../local/sftp/keys.ts";
import { startSshd } from "../../tests/support/sshd.ts";
import { PermanentError, TransientError } from "../../shared/errors/errors.ts";
import type { Probed } from "./delivery.ts";
import { fingerprintOf, recordHostKey } from "./known_hosts.ts";
import { sftpDelivery, type SftpOptions } from "./sftp.ts";
import { OPENSSH, OURS, SftpStage } from "../../tests/support/sftp.ts";
import { needing } from "../../tests/support/needs.ts";

const opensshTest = needing("sshd", "ssh-keygen");
const keygenTest = needing("ssh-keygen");

function probe(pipeline: SftpStage, options: Partial<SftpOptions> = {}): Promise<Probed> {
  return sftpDelivery({ ...pipeline.options, ...options }).probe(new AbortController().signal);
}

async function sshKeygen(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ssh-keygen", { args, stdout: "null" }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

async function fingerprintIn(publicKey: string): Promise<string> {
  return fingerprintOf((await readPublicKeys(publicKey))[0]!.getPublicSSH());
}

/** Pins a host key that isn't the server's. */
async function pinAnother(pipeline: SftpStage, file: string): Promise<string> {
  const { publicKey } = await ensureHostKey(`${pipeline.temp}/another_host_key`);
  return await pinHostKey(file, "127.0.0.1", pipeline.server.port, publicKey);
}

for (const kind of [OPENSSH, OURS]) {
  const ordinary = kind === OPENSSH ? opensshTest : Deno.test;
  const test = (name: string, body: (pipeline: SftpStage) => Promise<void>, register = ordinary) =>
    register(`${kind.name}: ${name}`, async () => {
      await using pipeline = await SftpStage.open(kind);
      await body(pipeline);
    });

  test("a key or user that the server doesn't know is a permanent failure", async (pipeline) => {
    const { privateKey } = await ensureKeys(`${pipeline.temp}/stranger`, { type: "ed25519" });
    await assert.rejects(probe(pipeline, { keyPath: privateKey }), (error: Error) => {
      assert.ok(error instanceof PermanentError);
      assert.ok(error.message.includes(`it refuses the key in "${privateKey}"`), error.message);
      return true;
    });
    await assert.rejects(probe(pipeline, { user: "nemo" }), PermanentError);
  });

  test("an unknown host is refused with instructions to trust it; after that it is trusted", async (pipeline) => {
    const knownHosts = `${pipeline.temp}/empty_known_hosts`;
    const fingerprint = await fingerprintIn(pipeline.server.hostKey);
    let message = "";
    await assert.rejects(probe(pipeline, { knownHosts }), (error: Error) => {
      assert.ok(error instanceof PermanentError);
      ({ message } = error);
      assert.ok(message.includes(`ssh-ed25519 ${fingerprint} isn't in "${knownHosts}"`), message);
      assert.ok(message.includes(`ssh-keyscan -p ${pipeline.server.port} 127.0.0.1`), message);
      return true;
    });
    await assert.rejects(Deno.stat(knownHosts), Deno.errors.NotFound);
    await Deno.writeTextFile(knownHosts, `${/: (\[127\.0\.0\.1\].*)$/.exec(message)![1]}\n`);
    assert.equal((await probe(pipeline, { knownHosts })).fingerprint, fingerprint);
  });

  test("the first key of a host is recorded if configured, and another one is refused from then on", async (pipeline) => {
    const knownHosts = `${pipeline.temp}/new_known_hosts`;
    await Deno.writeTextFile(knownHosts, "# no line end");
    const options = { knownHosts, hostKeyPolicy: "accept-new" } as const;
    await probe(pipeline, options);
    const recorded = await Deno.readTextFile(knownHosts);
    assert.match(recorded, /^# no line end\n\[127\.0\.0\.1\]:\d+ ssh-ed25519 \S+\n$/);
    await probe(pipeline, options);
    await probe(pipeline, { knownHosts });
    assert.equal(await Deno.readTextFile(knownHosts), recorded);
    await pinAnother(pipeline, knownHosts);
    await assert.rejects(probe(pipeline, options), PermanentError);
  });

  test("a host whose login fails isn't recorded", async (pipeline) => {
    const knownHosts = `${pipeline.temp}/new_known_hosts`;
    await assert.rejects(
      probe(pipeline, { knownHosts, hostKeyPolicy: "accept-new", user: "nemo" }),
      PermanentError,
    );
    await assert.rejects(Deno.stat(knownHosts), Deno.errors.NotFound);
  });

  test("a changed host key is refused, with both fingerprints", async (pipeline) => {
    const expected = await pinAnother(pipeline, pipeline.options.knownHosts);
    const shown = await fingerprintIn(pipeline.server.hostKey);
    for (const hostKeyPolicy of ["strict", "accept-new"] as const) {
      await assert.rejects(probe(pipeline, { hostKeyPolicy }), (error: Error) => {
        assert.ok(error instanceof PermanentError);
        assert.ok(error.message.includes(`its host key ssh-ed25519 ${shown} isn't the one`), error.message);
        assert.ok(error.message.includes(`(ssh-ed25519 ${expected})`), error.message);
        return true;
      });
    }
  });

  test("a host is found in a hashed known hosts file", async (pipeline) => {
    await sshKeygen("-H", "-f", pipeline.options.knownHosts);
    assert.match(await Deno.readTextFile(pipeline.options.knownHosts), /^\|1\|/);
    await probe(pipeline);
  }, kind === OPENSSH ? opensshTest : keygenTest);

  test("a revoked host key is refused, though it is known", async (pipeline) => {
    const line = await Deno.readTextFile(pipeline.options.knownHosts);
    await Deno.writeTextFile(
      pipeline.options.knownHosts,
      `${line}@revoked * ${line.split(" ").slice(1).join(" ")}`,
    );
    await assert.rejects(
      probe(pipeline, { hostKeyPolicy: "accept-new" }),
      (error) => error instanceof PermanentError && /is marked @revoked/.test(error.message),
    );
  });

  test("a port without a listener is a transient failure", async (pipeline) => {
    await pipeline.server.kill();
    await assert.rejects(
      probe(pipeline),
      (error) => error instanceof TransientError && /Cannot reach the SFTP server/.test(error.message),
    );
  });
}

opensshTest("of a host with several keys, a known one is requested", async () => {
  const temp = await Deno.makeTempDir();
  try {
    await sshKeygen("-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", `${temp}/rsa`);
    await sshKeygen("-q", "-t", "ecdsa", "-N", "", "-f", `${temp}/ecdsa`);
    const hostKeys = [(await ensureHostKey(`${temp}/ed25519`)).privateKey, `${temp}/rsa`, `${temp}/ecdsa`];
    const keys = await ensureKeys(temp, { type: "ed25519" });
    await using sshd = await startSshd({ authorizedKey: await Deno.readTextFile(keys.publicKey), hostKeys });
    for (
      const [file, type] of [["rsa", "ssh-rsa"], ["ecdsa", "ecdsa-sha2-nistp256"], ["ed25519", "ssh-ed25519"]]
    ) {
      const knownHosts = `${temp}/known_${file}`;
      await pinHostKey(knownHosts, "127.0.0.1", sshd.port, `${temp}/${file}.pub`);
      const probed = await sftpDelivery({
        host: "127.0.0.1",
        port: sshd.port,
        user: sshd.user,
        keyPath: keys.privateKey,
        knownHosts,
        hostKeyPolicy: "strict",
        remoteDir: sshd.home,
        verify: "content",
      }).probe(new AbortController().signal);
      assert.equal(probed.hostKeyType, type);
      assert.equal(probed.fingerprint, await fingerprintIn(`${temp}/${file}.pub`));
    }
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
});

for (const type of ["rsa", "ed25519"] as const) {
  opensshTest(`both servers accept an encrypted ${type} key`, async () => {
    for (const kind of [OPENSSH, OURS]) {
      await using pipeline = await SftpStage.open(kind);
      const path = `${pipeline.temp}/encrypted`;
      await sshKeygen("-q", "-t", type, "-N", "correct horse", "-f", path);
      await using sshd = kind === OPENSSH
        ? await startSshd({ authorizedKey: await Deno.readTextFile(`${path}.pub`) })
        : undefined;
      if (sshd === undefined) await Deno.copyFile(`${path}.pub`, `${pipeline.temp}/sftp_user.pub`);
      else await pinHostKey(pipeline.options.knownHosts, "127.0.0.1", sshd.port, sshd.hostKey);
      await probe(pipeline, {
        keyPath: path,
        passphrase: "correct horse",
        ...(sshd === undefined ? {} : { port: sshd.port, remoteDir: sshd.home }),
      });
    }
  });
}

for (
  const { name, logins, says } of [{
    name: "a server that offers no login by a key is refused for good, with what it offers",
    logins: ["PubkeyAuthentication no", "PasswordAuthentication yes", "KbdInteractiveAuthentication yes"],
    says:
      /it offers no login by a key, only password, keyboard-interactive\. Ask the server's operator to enable publickey for that user, with/,
  }, {
    name:
      "a server that asks for a password besides the key is refused for good, and says that it takes the key",
    logins: ["AuthenticationMethods publickey,password", "PasswordAuthentication yes"],
    says: /it accepts the key in "[^"]+", and asks for another login besides \(password\)\. Files are/,
  }]
) {
  opensshTest(name, async () => {
    await using pipeline = await SftpStage.open(OURS);
    const { keyPath, knownHosts } = pipeline.options;
    await using sshd = await startSshd({
      authorizedKey: await Deno.readTextFile(`${pipeline.temp}/sftp_user.pub`),
      logins,
    });
    await pinHostKey(knownHosts, "127.0.0.1", sshd.port, sshd.hostKey);
    await assert.rejects(
      probe(pipeline, { port: sshd.port, user: sshd.user }),
      (error: Error) => {
        assert.ok(error instanceof PermanentError);
        assert.match(error.message, says);
        assert.ok(error.message.includes(`"${keyPath}"`), error.message);
        return true;
      },
    );
  });
}

Deno.test("a server that doesn't speak SSH is a transient failure, in bounded time", async () => {
  await using pipeline = await SftpStage.open(OURS);
  for (const greeting of ["", "HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n\0\0\0\x01"]) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = listener.accept().then(async (connection) => {
      await connection.write(new TextEncoder().encode(greeting));
      if (greeting.startsWith("HTTP")) connection.close();
      return connection;
    });
    await assert.rejects(
      probe(pipeline, { port: listener.addr.port, timeoutMs: 300 }),
      (error) => error instanceof TransientError,
      JSON.stringify(greeting),
    );
    const connection = await serving;
    if (!greeting.startsWith("HTTP")) connection.close();
  }
});

Deno.test("a known hosts file that can't be written is reported", async () => {
  await using pipeline = await SftpStage.open(OURS);
  await assert.rejects(
    probe(pipeline, { knownHosts: `${pipeline.temp}/missing/known_hosts`, hostKeyPolicy: "accept-new" }),
    (error) => error instanceof PermanentError && /record the server's host key/.test(error.message),
  );
});

Deno.test("keys recorded at the same time are all kept", async () => {
  const temp = await Deno.makeTempDir();
  try {
    const blob = new Uint8Array([0, 0, 0, 1, 120]);
    const ports = Array.from({ length: 20 }, (_, i) => 1000 + i);
    await Promise.all(
      ports.map((port) => recordHostKey(`${temp}/known`, "h", port, { type: "x", blob })),
    );
    const lines = (await Deno.readTextFile(`${temp}/known`)).trimEnd().split("\n").sort();
    assert.deepEqual(lines, ports.map((port) => `[h]:${port} x AAAAAXg=`));
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
});
