import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { PermanentError, TransientError } from "../../shared/errors/errors.ts";
import type { DeliverOptions, LocalFile } from "./delivery.ts";
import { sftpDelivery, type SftpOptions } from "./sftp.ts";
import { MANIFEST, OPENSSH, OPENSSH_FULL, OURS, SftpStage } from "../../tests/support/sftp.ts";
import { Line } from "../../tests/support/line.ts";
import { needing } from "../../tests/support/needs.ts";
import { pinHostKey } from "../../local/sftp/keys.ts";

const opensshTest = needing("sshd");
const keygenTest = needing("sshd", "ssh-keygen");

const PART = /^\..+\.[0-9a-f]{12}\.part$/;

function deliver(
  pipeline: SftpStage,
  files: readonly LocalFile[],
  options: Partial<SftpOptions> = {},
  more: Partial<DeliverOptions> = {},
) {
  return sftpDelivery({ ...pipeline.options, ...options }).deliver(files, MANIFEST, {
    signal: new AbortController().signal,
    ...more,
  });
}

/** Longer than the bytes in flight. */
const LONG = 8_000_000;

/**
 * Opens a relay to the server that holds the bytes in flight while the server's processes are found and
 * stopped, which takes a while.
 */
async function openLine({ server, options }: SftpStage) {
  const line = await Line.to(server.port);
  await pinHostKey(options.knownHosts, "127.0.0.1", line.port, server.hostKey);
  return {
    port: line.port,
    async whileHeld(fate: () => Promise<void>) {
      line.hold();
      await fate();
      line.release();
    },
    [Symbol.asyncDispose]: () => line[Symbol.asyncDispose](),
  };
}

/** Calls `then` once, when `bytes` have reached the server. `done` is its result. */
function after(bytes: number, then: () => Promise<unknown> | void) {
  let done: Promise<unknown> | void | undefined;
  let called = false;
  return {
    onProgress: (sent: number) => {
      if (called || sent < bytes) return;
      called = true;
      done = then();
    },
    async settled() {
      assert.ok(called, "the delivery ended too soon for the test");
      await done;
    },
  };
}

for (const kind of [OPENSSH, OURS]) {
  const ordinary = kind === OPENSSH ? opensshTest : Deno.test;
  const test = (name: string, body: (pipeline: SftpStage) => Promise<void>, register = ordinary) =>
    register(`${kind.name}: ${name}`, async () => {
      await using pipeline = await SftpStage.open(kind);
      await body(pipeline);
    });

  test("a run's files and its manifest arrive completely, and nothing else is left there", async (pipeline) => {
    const files = await pipeline.run();
    const reported: number[] = [];
    const delivered = await deliver(pipeline, files, {}, { onProgress: (bytes) => reported.push(bytes) });
    const names = [...files.map(({ name }) => name), MANIFEST.name];
    assert.deepEqual(await pipeline.names(), names.toSorted());
    for (const file of files) {
      assert.deepEqual(await pipeline.read(file.name), await Deno.readFile(file.path));
    }
    assert.equal(new TextDecoder().decode(await pipeline.read(MANIFEST.name)), MANIFEST.text);
    assert.deepEqual(delivered.map(({ deliveredAt: _, ...rest }) => rest), [
      ...files.map(({ kind, name, sha256, bytes }) => ({
        kind,
        name,
        remotePath: `${pipeline.server.folder.remote}/${name}`,
        sha256,
        bytes,
        verified: "content",
        encrypted: false,
        skipped: false,
      })),
      {
        kind: "manifest",
        name: MANIFEST.name,
        remotePath: `${pipeline.server.folder.remote}/${MANIFEST.name}`,
        sha256: createHash("sha256").update(MANIFEST.text).digest("hex"),
        bytes: MANIFEST.text.length,
        verified: "content",
        encrypted: false,
        skipped: false,
      },
    ]);
    assert.equal(reported.at(-1), 3_000_002 + MANIFEST.text.length);
    assert.deepEqual(reported, reported.toSorted((a, b) => a - b));
    const { mode } = await Deno.stat(`${pipeline.server.folder.disk}/${files[0]!.name}`);
    assert.equal(mode! & 0o133, 0, "nobody else may write, nobody may execute");
  });

  test("delivered files are not sent again", async (pipeline) => {
    const files = await pipeline.run();
    await deliver(pipeline, files);
    const before = await Deno.stat(`${pipeline.server.folder.disk}/${files[0]!.name}`);
    const again = await deliver(pipeline, files);
    assert.deepEqual(again.map(({ skipped }) => skipped), [true, true, true, true]);
    const now = await Deno.stat(`${pipeline.server.folder.disk}/${files[0]!.name}`);
    assert.deepEqual([now.ino, now.mtime], [before.ino, before.mtime]);
  });

  test("another file of the same name is a conflict, stays unchanged, and no manifest is delivered", async (pipeline) => {
    const [raw, processed] = await pipeline.run();
    await pipeline.plant(processed!.name, "x".repeat(processed!.bytes));
    await assert.rejects(deliver(pipeline, [raw!, processed!]), (error: Error) => {
      assert.ok(error instanceof PermanentError, String(error));
      const planted = createHash("sha256").update("x").digest("hex");
      assert.ok(
        error.message.includes(`another file with 1 bytes and SHA-256 ${planted}`),
        error.message,
      );
      assert.ok(error.message.includes(`wanted 1 bytes and SHA-256 ${processed!.sha256}`), error.message);
      return true;
    });
    assert.deepEqual(await pipeline.names(), [processed!.name, raw!.name].sort());
    assert.equal(new TextDecoder().decode(await pipeline.read(processed!.name)), "x");
  });

  test("if only the size is verified, a file of the same size counts as delivered, another one doesn't", async (pipeline) => {
    const [raw, processed] = await pipeline.run();
    await pipeline.plant(processed!.name, "x");
    const delivered = await deliver(pipeline, [raw!, processed!], { verify: "size" });
    assert.deepEqual(delivered.map(({ verified, skipped }) => [verified, skipped]), [
      ["size", false],
      ["size", true],
      ["size", false],
    ]);
    await pipeline.plant(raw!.name, "short");
    await assert.rejects(
      deliver(pipeline, [raw!], { verify: "size" }),
      /another file with 5 bytes, wanted 3000001 bytes/,
    );
  });

  test("unfinished files of earlier deliveries are removed; those of other files stay", async (pipeline) => {
    const files = await pipeline.run();
    await pipeline.plant(`.${files[0]!.name}.0123456789ab.part`, "half a file");
    await pipeline.plant(".other.jsonl.0123456789ab.part", "somebody else's");
    await deliver(pipeline, files);
    assert.deepEqual((await pipeline.names()).filter((name) => PART.test(name)), [
      ".other.jsonl.0123456789ab.part",
    ]);
  });

  test("a missing folder is created, with its parents", async (pipeline) => {
    const [raw] = await pipeline.run();
    const [delivered] = await deliver(pipeline, [raw!], {
      remoteDir: `${pipeline.server.folder.remote}/2026/11/`,
    });
    assert.equal(delivered!.remotePath, `${pipeline.server.folder.remote}/2026/11/${raw!.name}`);
    assert.equal(
      (await Deno.stat(`${pipeline.server.folder.disk}/2026/11/${raw!.name}`)).size,
      raw!.bytes,
    );
  });

  test("a file in place of the folder, or a folder in place of a file, is reported", async (pipeline) => {
    const [raw] = await pipeline.run();
    await pipeline.plant("taken", "");
    const under = (path: string) =>
      deliver(pipeline, [raw!], { remoteDir: `${pipeline.server.folder.remote}/${path}` });
    await assert.rejects(
      under("taken"),
      (error) => error instanceof PermanentError && /it is a file, wanted a folder/.test(error.message),
    );
    await Deno.mkdir(`${pipeline.server.folder.disk}/${raw!.name}`);
    await assert.rejects(
      deliver(pipeline, [raw!]),
      (error) => error instanceof PermanentError && /a folder has that name/.test(error.message),
    );
  });

  test("a file that somebody else delivers meanwhile is never replaced", async (pipeline) => {
    const raw = await pipeline.file("raw", LONG);
    const other = after(1_000_000, () => pipeline.plant(raw.name, "somebody else's"));
    await assert.rejects(
      deliver(pipeline, [raw], {}, other),
      (error) => error instanceof PermanentError && /another file with 15 bytes/.test(error.message),
    );
    await other.settled();
    assert.deepEqual(await pipeline.names(), [raw.name]);
    assert.equal(new TextDecoder().decode(await pipeline.read(raw.name)), "somebody else's");
  });

  test("two simultaneous deliveries of one run end with each file there once, or ask for another try", async (pipeline) => {
    const files = [await pipeline.file("raw", 5_000_000), await pipeline.file("processed", 1_000)];
    const both = await Promise.allSettled([deliver(pipeline, files), deliver(pipeline, files)]);
    for (const outcome of both) {
      if (outcome.status === "rejected") assert.ok(outcome.reason instanceof TransientError, outcome.reason);
    }
    await deliver(pipeline, files);
    assert.deepEqual(await pipeline.names(), [...files.map(({ name }) => name), MANIFEST.name].sort());
    assert.deepEqual(await pipeline.read(files[0]!.name), await Deno.readFile(files[0]!.path));
  });

  test(
    "a server that dies midway through a file leaves nothing under the file's name, and the next try succeeds",
    async (pipeline) => {
      const raw = await pipeline.file("raw", LONG);
      await using line = await openLine(pipeline);
      const death = after(2_000_000, () => line.whileHeld(() => pipeline.server.kill()));
      await assert.rejects(deliver(pipeline, [raw], { port: line.port }, death), TransientError);
      await death.settled();
      assert.deepEqual((await pipeline.names()).filter((name) => !PART.test(name)), []);
      await pipeline.server.start();
      const [delivered] = await deliver(pipeline, [raw]);
      assert.equal(delivered!.skipped, false);
      assert.deepEqual(await pipeline.names(), [MANIFEST.name, raw.name].sort());
      assert.deepEqual(await pipeline.read(raw.name), await Deno.readFile(raw.path));
    },
  );

  test("a server that stops answering fails the delivery after the timeout", async (pipeline) => {
    const raw = await pipeline.file("raw", LONG);
    await using line = await openLine(pipeline);
    let frozenAt = 0;
    const frost = after(2_000_000, async () => {
      await line.whileHeld(() => pipeline.server.freeze());
      frozenAt = performance.now();
    });
    await assert.rejects(
      deliver(pipeline, [raw], { port: line.port, timeoutMs: 3_000 }, frost),
      (error) => error instanceof TransientError && /no answer for 3 s/.test(error.message),
    );
    const endedAt = performance.now();
    await frost.settled();
    assert.ok(endedAt - frozenAt < 12_000, "bounded by the timeout");
    await pipeline.server.thaw();
    await deliver(pipeline, [raw]);
    assert.deepEqual(await pipeline.names(), [MANIFEST.name, raw.name].sort());
  });

  test("a server that is frozen from the start fails the delivery too", async (pipeline) => {
    await pipeline.server.freeze();
    await assert.rejects(deliver(pipeline, [], { timeoutMs: 500 }), TransientError);
    await pipeline.server.thaw();
    assert.deepEqual(await pipeline.names(), []);
  });

  test("an abort ends the delivery with its reason and leaves nothing there", async (pipeline) => {
    const raw = await pipeline.file("raw", LONG);
    const controller = new AbortController();
    const reason = new Error("the run was cancelled");
    const abort = after(2_000_000, () => controller.abort(reason));
    await assert.rejects(
      deliver(pipeline, [raw], {}, { signal: controller.signal, onProgress: abort.onProgress }),
      (error) => error === reason,
    );
    assert.deepEqual(await pipeline.names(), []);
    await assert.rejects(
      deliver(pipeline, [raw], {}, { signal: controller.signal }),
      (error) => error === reason,
    );
  });

  test("a local file that differs from its announcement is not delivered", async (pipeline) => {
    const [raw, processed] = await pipeline.run();
    await Deno.writeTextFile(processed!.path, "y");
    await assert.rejects(
      deliver(pipeline, [raw!, processed!]),
      (error) => error instanceof PermanentError && /was changed or truncated since/.test(error.message),
    );
    await Deno.remove(processed!.path);
    await assert.rejects(
      deliver(pipeline, [processed!]),
      (error) => error instanceof PermanentError && /there is no such file/.test(error.message),
    );
    assert.deepEqual(await pipeline.names(), [raw!.name]);
  });

  test("a name that isn't a plain file name is refused before anything is sent", async (pipeline) => {
    const [raw] = await pipeline.run();
    for (const name of ["../x", "", "..", "a\nb"]) {
      await assert.rejects(deliver(pipeline, [{ ...raw!, name }]), PermanentError);
    }
    assert.deepEqual(await pipeline.names(), []);
  });

  test("a probe returns the folder and the host key, and leaves no file", async (pipeline) => {
    const probed = await sftpDelivery(pipeline.options).probe(new AbortController().signal);
    const listed = await new Deno.Command("ssh-keygen", { args: ["-l", "-f", pipeline.server.hostKey] })
      .output();
    assert.equal(probed.folder, pipeline.server.folder.remote);
    assert.equal(probed.hostKeyType, "ssh-ed25519");
    assert.ok(new TextDecoder().decode(listed.stdout).includes(` ${probed.fingerprint} `));
    assert.deepEqual(await pipeline.names(), []);
  }, keygenTest);
}

opensshTest("OpenSSH: a folder that its user can't write to is reported as such", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  if (pipeline.server.user !== "root") return;
  const [raw] = await pipeline.run();
  await assert.rejects(
    deliver(pipeline, [raw!], { user: "nobody" }),
    (error) => error instanceof PermanentError && /permission denied\. Give SFTP_USER/.test(error.message),
  );
  await assert.rejects(
    deliver(pipeline, [raw!], { user: "nobody", remoteDir: `${pipeline.server.folder.remote}/new` }),
    (error) => error instanceof PermanentError && /make the folder .* permission denied/.test(error.message),
  );
  assert.deepEqual(await pipeline.names(), []);
});

opensshTest(
  "OpenSSH: a server that can't store the file is a transient failure, and nothing is left there",
  async () => {
    await using pipeline = await SftpStage.open(OPENSSH_FULL);
    const [raw, processed] = await pipeline.run();
    await assert.rejects(
      deliver(pipeline, [processed!, raw!]),
      (error) => error instanceof TransientError && /Is its disk or quota full\?/.test(error.message),
    );
    assert.deepEqual(await pipeline.names(), []);
  },
);

Deno.test("our server: outside of its folder nothing can be delivered", async () => {
  await using pipeline = await SftpStage.open(OURS);
  const [raw] = await pipeline.run();
  for (const remoteDir of ["/", "/elsewhere", "/upload/../elsewhere"]) {
    await assert.rejects(
      deliver(pipeline, [raw!], { remoteDir }),
      (error) => error instanceof PermanentError && /permission denied/.test(error.message),
      remoteDir,
    );
  }
  assert.deepEqual(await pipeline.names(), []);
});

opensshTest("OpenSSH: a relative folder is resolved in the user's home", async () => {
  await using pipeline = await SftpStage.open(OPENSSH);
  const [raw] = await pipeline.run();
  const [delivered] = await deliver(pipeline, [raw!], { remoteDir: "incoming" });
  assert.equal(delivered!.remotePath, `${pipeline.server.folder.remote}/incoming/${raw!.name}`);
});
