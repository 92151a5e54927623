import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { smallDisk } from "../../tests/support/tmpfs.ts";
import { NoSpace, PermanentError, TransientError } from "../errors/errors.ts";
import { writeAtomically } from "./disk.ts";
import { LocalFiles } from "./local.ts";
import { Conflict, type FileFacts } from "./files.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

async function startFolder() {
  const root = await Deno.makeTempDir();
  const files = new LocalFiles(root);
  return {
    root,
    files,
    path: files.path("raw_users", "x.jsonl"),
    async names() {
      const names: string[] = [];
      for await (const { name } of Deno.readDir(`${root}/raw_users`)) names.push(name);
      return names.sort();
    },
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

async function linesOf(batches: AsyncIterable<{ lines: string[] }>): Promise<string[]> {
  const all: string[] = [];
  for await (const { lines } of batches) all.push(...lines);
  return all;
}

Deno.test("a file gets its name only when it is published, complete and with its size and checksum", async () => {
  await using folder = await startFolder();
  const text = `${"ab✓\u{1f600}\n".repeat(100_000)}end`; // more than the buffer, with characters of each length at its boundaries
  await using file = await folder.files.create(folder.path);
  for (let at = 0; at < text.length; at += 77_778) await file.write(text.slice(at, at + 77_778));
  assert.deepEqual(await folder.names(), ["x.jsonl.part"]);
  assert.equal(await folder.files.exists(folder.path), false);
  const facts = await file.publish();
  const bytes = new TextEncoder().encode(text).length;
  assert.deepEqual(facts, { name: folder.path, bytes, sha256: sha256(text) });
  assert.equal(file.bytes, bytes);
  assert.deepEqual(await folder.names(), ["x.jsonl"]);
  assert.equal(await Deno.readTextFile(folder.path), text);
  assert.equal(await folder.files.exists(folder.path), true);
  assert.deepEqual(await folder.files.facts(folder.path), facts);
});

Deno.test("a file without content is published empty", async () => {
  await using folder = await startFolder();
  await using file = await folder.files.create(folder.path);
  assert.deepEqual(await file.publish(), { name: folder.path, bytes: 0, sha256: sha256("") });
  assert.deepEqual(await linesOf(folder.files.lines(folder.path, { sha256: sha256("") })), []);
});

Deno.test("an abandoned file leaves nothing, and the earlier file of that name stays", async () => {
  await using folder = await startFolder();
  await writeAtomically(folder.path, "old\n");
  await assert.rejects(async () => {
    await using file = await folder.files.create(folder.path);
    await file.write("new\n");
    await file.sync();
    throw new Error("abandoned");
  }, /abandoned/);
  assert.deepEqual(await folder.names(), ["x.jsonl"]);
  assert.equal(await Deno.readTextFile(folder.path), "old\n");
});

Deno.test("a published file replaces an earlier one only if requested", async () => {
  await using folder = await startFolder();
  await writeAtomically(folder.path, "old\n");
  await using file = await folder.files.create(folder.path);
  await file.write("new\n");
  await assert.rejects(file.publish(), Conflict);
  assert.equal(await Deno.readTextFile(folder.path), "old\n");
  await file.publish({ replace: true });
  assert.equal(await Deno.readTextFile(folder.path), "new\n");
});

Deno.test("a kept file is resumed where it was safe, and its hash covers all of it", async () => {
  await using folder = await startFolder();
  let safe = { bytes: 0 };
  {
    await using file = await folder.files.create(folder.path, { resumable: true });
    await file.write("first\n");
    safe = await file.sync();
    await file.write("half a li");
    await file.sync();
  }
  assert.deepEqual(await folder.names(), ["x.jsonl.part"]);
  await using file = await folder.files.resume(folder.path, safe);
  assert.ok(file !== undefined);
  await file.write("second\n");
  assert.deepEqual(await file.publish(), { name: folder.path, bytes: 13, sha256: sha256("first\nsecond\n") });
  assert.equal(await Deno.readTextFile(folder.path), "first\nsecond\n");
});

Deno.test("a part file that is missing, too short or damaged is not resumed, and can be set aside", async () => {
  await using folder = await startFolder();
  const safe = { bytes: 6, sha256: sha256("record") };
  assert.equal(await folder.files.resume(folder.path, safe), undefined);
  assert.equal(await folder.files.setPartAside(folder.path, "damaged"), undefined);
  for (const text of ["short", "recOrds"]) {
    await writeAtomically(`${folder.path}.part`, text);
    assert.equal(await folder.files.resume(folder.path, safe), undefined, text);
    assert.equal(await folder.files.setPartAside(folder.path, text), `${folder.path}.part.${text}`);
  }
  assert.deepEqual(await folder.names(), ["x.jsonl.part.recOrds", "x.jsonl.part.short"]);
  assert.equal(await Deno.readTextFile(`${folder.path}.part.short`), "short");
});

Deno.test("a writer whose file another one took over neither writes to it, nor publishes, nor removes it", async () => {
  await using folder = await startFolder();
  {
    await using late = await folder.files.create(folder.path);
    await late.write("late");
    await using next = await folder.files.create(folder.path);
    await next.write("next");
    await late.sync();
    await assert.rejects(late.publish(), TransientError);
    await late[Symbol.asyncDispose]();
    assert.deepEqual(await folder.names(), ["x.jsonl.part"]);
    assert.equal((await next.publish()).sha256, sha256("next"));
  }
  assert.deepEqual(await folder.names(), ["x.jsonl"]);
  assert.equal(await Deno.readTextFile(folder.path), "next");
});

Deno.test("reading returns the file's size and checksum in the same pass", async () => {
  await using folder = await startFolder();
  const text = `${"line\n".repeat(100_000)}last`;
  await writeAtomically(folder.path, text);
  const reported: FileFacts[] = [];
  const lines = await linesOf(folder.files.lines(folder.path, { onEnd: (facts) => reported.push(facts) }));
  assert.equal(lines.length, 100_001);
  assert.deepEqual(reported, [{ name: folder.path, bytes: text.length, sha256: sha256(text) }]);
});

Deno.test("a file changed since its announcement is refused at its end", async () => {
  await using folder = await startFolder();
  await writeAtomically(folder.path, "a\nb\n");
  const seen: string[] = [];
  const reported: FileFacts[] = [];
  const wrong = sha256("a\nc\n");
  await assert.rejects(async () => {
    const reading = folder.files.lines(folder.path, {
      sha256: wrong,
      onEnd: (facts) => reported.push(facts),
    });
    for await (const { lines } of reading) seen.push(...lines);
  }, (error: unknown) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, new RegExp(`its SHA-256 is ${sha256("a\nb\n")}, but ${wrong} was announced`));
    return true;
  });
  assert.deepEqual([seen, reported], [["a", "b"], []]);
});

Deno.test("reading ends with the signal and its reason", async () => {
  await using folder = await startFolder();
  await writeAtomically(folder.path, "line\n".repeat(200_000));
  const stop = new AbortController();
  const reason = new Error("enough");
  let batches = 0;
  await assert.rejects(async () => {
    for await (const _ of folder.files.lines(folder.path, { signal: stop.signal })) {
      batches += 1;
      stop.abort(reason);
    }
  }, reason);
  assert.equal(batches, 1);
});

Deno.test("every operation refuses a path that isn't a file of a run", async () => {
  await using folder = await startFolder();
  const outside = [
    "/etc/passwd",
    `${folder.root}/../x`,
    "../x",
    `${folder.root}/a/../../x`,
    folder.root,
    `${folder.root}/dlq/a\0b`,
    `${folder.root}/x.jsonl`,
    `${folder.root}/dlq`,
    `${folder.root}/state/extractor_state.json`,
    `${folder.root}/raw_users/../state/extractor_state.json`,
    `${folder.root}/queue/queue.db`,
  ];
  for (const path of outside) {
    const refused = (error: unknown) =>
      error instanceof PermanentError && /wanted a path inside/.test(error.message);
    await assert.rejects(folder.files.create(path), refused, path);
    await assert.rejects(folder.files.facts(path), refused, path);
    await assert.rejects(folder.files.exists(path), refused, path);
    await assert.rejects(linesOf(folder.files.lines(path)), refused, path);
    await assert.rejects(folder.files.remove(path), refused, path);
  }
  assert.equal(await folder.files.exists(`${folder.root}/a/../dlq/b`), false);
  const sealed = folder.files.path("sealed", "run");
  await folder.files.sealed.remove(sealed);
  await assert.rejects(folder.files.remove(sealed), PermanentError);
  await assert.rejects(folder.files.facts(sealed), PermanentError);
});

Deno.test("a file or a folder is removed, a missing one is fine, and no link below the data directory is followed", async () => {
  await using folder = await startFolder();
  await using outside = await startFolder();
  const [own, others] = [`${folder.root}/raw_users`, `${outside.root}/raw_users`];
  for (const made of [own, others]) {
    await Deno.mkdir(made);
    await Deno.writeTextFile(`${made}/x.jsonl`, "{}");
  }
  await folder.files.remove(`${own}/x.jsonl`);
  await folder.files.remove(`${own}/x.jsonl`);
  assert.deepEqual(await folder.names(), []);
  await Deno.mkdir(`${own}/sub`);
  await folder.files.remove(`${own}/sub`);
  await assert.rejects(Deno.stat(`${own}/sub`), Deno.errors.NotFound);

  const link = `${own}/link`;
  await Deno.symlink(others, link);
  for (const path of [link, `${link}/x.jsonl`]) {
    await assert.rejects(
      folder.files.remove(path),
      (error: unknown) =>
        error instanceof PermanentError && /is a link, which may lead out of/.test(error.message),
      path,
    );
  }
  assert.deepEqual(await outside.names(), ["x.jsonl"]);
});

Deno.test("a missing file, or a folder in its place, is a permanent failure that names it", async () => {
  await using folder = await startFolder();
  await assert.rejects(linesOf(folder.files.lines(folder.path)), (error: unknown) => {
    assert.ok(error instanceof PermanentError);
    assert.match(error.message, /^Cannot read .*raw_users\/x\.jsonl: it isn't there\./);
    return true;
  });
  await Deno.mkdir(folder.path, { recursive: true });
  await assert.rejects(folder.files.facts(folder.path), PermanentError);
});

Deno.test("a small file is replaced as a whole", async () => {
  await using folder = await startFolder();
  await writeAtomically(folder.path, "one");
  await writeAtomically(folder.path, "two");
  assert.equal(await Deno.readTextFile(folder.path), "two");
  assert.deepEqual(await folder.names(), ["x.jsonl"]);
});

Deno.test("a full disk is a transient failure, leaves nothing, and the repeat succeeds once there is room", async () => {
  const root = await Deno.makeTempDir();
  await using owned = new AsyncDisposableStack();
  owned.defer(() => Deno.remove(root, { recursive: true }));
  const disk = await smallDisk(root, 8_000_000);
  if (disk === undefined) return; // this process can't mount
  owned.use(disk);
  const files = new LocalFiles(root);
  const path = files.path("raw_users", "x.jsonl");
  const text = "x".repeat(3_000_000);
  const write = async () => {
    await using file = await files.create(path);
    await file.write(text);
    await file.publish();
  };
  await disk.fill(5_000_000);
  await assert.rejects(write, (error: unknown) => {
    assert.ok(error instanceof NoSpace);
    assert.match(
      error.message,
      /^Cannot write .*x\.jsonl\.part: it needs 4\.3 MB on the disk of ".*", of which 4\.\d MB are free/,
    );
    return true;
  });
  assert.deepEqual([...Deno.readDirSync(`${root}/raw_users`)], []);
  await disk.free();
  await write();
  assert.equal((await files.facts(path)).sha256, sha256(text));
});
