/**
 * Tests the promises of every adapter of the `Files` port.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { PermanentError, TransientError } from "../../shared/errors/errors.ts";
import { Conflict, type FileFacts, type Files, type GrowingFile } from "../../shared/files/files.ts";

/** A place for files, empty at first. Disposing of it removes all files. */
export interface FilesStage extends AsyncDisposable {
  /** Opens the files as another machine would. */
  open(): Files;
  /** Overwrites a complete file, as a mistake or a failing disk would. */
  damage(path: string, text: string): Promise<void>;
  /** Loses or damages the safe part of a growing file. */
  spoil(path: string, how: "lost" | "damaged"): Promise<void>;
  /** Returns everything that is stored of files, in any state: names, parts, uploads. */
  traces(): Promise<string[]>;
}

/** An adapter to test. */
export interface FilesKind {
  readonly name: string;
  open(): Promise<FilesStage>;
  /** `sync` makes more of a resumable file safe after at most this many bytes. */
  readonly step: number;
  /** Other files are sent in parts of this many bytes, if in parts at all. */
  readonly part: number;
}

type Safe = Awaited<ReturnType<GrowingFile["sync"]>>;
type Register = (name: string, body: () => Promise<void>) => void;

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const LINE = `${"ab✓\u{1f600}".padEnd(120, ".")}\n`; // characters of each length, at the boundaries of blocks and parts

/** Characters per write: whole lines, so that no write splits a surrogate pair. */
const SLICE = LINE.length * 700;

/** Returns text of at least `bytes`. */
const textOf = (bytes: number) => LINE.repeat(Math.ceil(bytes / new TextEncoder().encode(LINE).length));

async function linesOf(batches: AsyncIterable<{ lines: string[] }>): Promise<string[]> {
  const all: string[] = [];
  for await (const { lines } of batches) for (const line of lines) all.push(line);
  return all;
}

async function write(files: Files, path: string, text: string, options = {}): Promise<FileFacts> {
  await using file = await files.create(path);
  await file.write(text);
  return await file.publish(options);
}

/** Writes pages of `text`, as the extractor does, until the file reports that some of them are safe. */
async function writePages(file: GrowingFile, text: string): Promise<Safe> {
  for (let at = 0; at < text.length; at += SLICE) {
    await file.write(text.slice(at, at + SLICE));
    const safe = await file.sync();
    if (safe.bytes > 0) return safe;
  }
  throw new Error("nothing became safe");
}

/** Registers the suite for one adapter. */
export function filesConformance({ name: kind, open, step, part }: FilesKind, register: Register): void {
  const test = (name: string, body: (stage: FilesStage, files: Files, path: string) => Promise<void>) =>
    register(`${kind}: ${name}`, async () => {
      await using stage = await open();
      const files = stage.open();
      await body(stage, files, files.path("raw_users", "x.jsonl"));
    });

  for (
    const [size, bytes] of Object.entries({ "an empty": 0, "a small": 1_000, "a large": part + 1_000_000 })
  ) {
    test(
      `${size} file gets its name only when it is published, complete and with its size and checksum`,
      async (stage, files, path) => {
        const text = textOf(bytes).slice(0, bytes === 0 ? 0 : undefined);
        await using file = await files.create(path);
        for (let at = 0; at < text.length; at += SLICE) await file.write(text.slice(at, at + SLICE));
        assert.equal(await files.exists(path), false);
        const facts = await file.publish();
        const length = new TextEncoder().encode(text).length;
        assert.deepEqual(facts, { name: path, bytes: length, sha256: sha256(text) });
        assert.equal(file.bytes, length);
        const other = stage.open();
        assert.equal(await other.exists(path), true);
        assert.equal(await other.size(path), length);
        assert.deepEqual(await other.facts(path), facts);
        const reported: FileFacts[] = [];
        const lines = await linesOf(
          other.lines(path, { sha256: facts.sha256, onEnd: (facts) => reported.push(facts) }),
        );
        assert.equal(lines.map((line) => `${line}\n`).join(""), text);
        assert.deepEqual(reported, [facts]);
      },
    );
  }

  test("bytes and text are written in order, whatever their lengths", async (_, files, path) => {
    await using file = await files.create(path);
    const pieces = ["a", "b".repeat(part), "c\n", "d".repeat(300_000), "✓"];
    for (const [i, piece] of pieces.entries()) {
      await file.write(i % 2 ? new TextEncoder().encode(piece) : piece);
    }
    assert.equal((await file.publish()).sha256, sha256(pieces.join("")));
    assert.equal((await files.facts(path)).sha256, sha256(pieces.join("")));
  });

  test(
    "a name is taken once: the same content is accepted, another is a conflict, unless it may replace the first",
    async (_, files, path) => {
      for (const bytes of [10, part + 1_000]) {
        const [old, other] = [textOf(bytes), `${textOf(bytes)}more\n`];
        const facts = await write(files, path, old);
        assert.deepEqual(await write(files, path, old), facts);
        await assert.rejects(write(files, path, other), Conflict);
        assert.equal((await files.facts(path)).sha256, facts.sha256);
        await using file = await files.create(path);
        await file.write(other);
        await assert.rejects(file.publish(), Conflict);
        assert.equal((await file.publish({ replace: true })).sha256, sha256(other));
        assert.equal((await files.facts(path)).sha256, sha256(other));
        await files.remove(path);
      }
    },
  );

  test(
    "of simultaneous writers one gets the name, or all of them if they write the same",
    async (stage, files, path) => {
      const same = await Promise.all(
        [1, 2, 3].map(() => write(stage.open(), path, "same\n").catch((error) => error)),
      );
      for (const facts of same) {
        if (facts instanceof Error) assert.ok(facts instanceof TransientError, String(facts));
        else assert.equal(facts.sha256, sha256("same\n"));
      }
      assert.equal((await files.facts(path)).sha256, sha256("same\n"));
    },
  );

  test(
    "a file abandoned before it is published leaves nothing, and the earlier file of that name stays",
    async (stage, files, path) => {
      await write(files, path, "old\n");
      const before = await stage.traces();
      for (const bytes of [10, part + 1_000]) {
        await assert.rejects(async () => {
          await using file = await files.create(path);
          await file.write(textOf(bytes));
          await file.sync();
          throw new Error("left");
        }, /left/);
      }
      assert.deepEqual(await stage.traces(), before);
      assert.deepEqual(await linesOf(files.lines(path)), ["old"]);
    },
  );

  test(
    "a resumable file is continued by another machine where it was safe, and its hash covers all of it",
    async (stage, files, path) => {
      const text = textOf(5 * step);
      let safe: Safe;
      {
        await using file = await files.create(path, { resumable: true });
        safe = await writePages(file, text);
        await file.write("half a li");
      }
      assert.equal(await files.exists(path), false);
      for (let times = 0; times < 2; times++) { // the second machine dies too
        await using file = await stage.open().resume(path, safe);
        assert.ok(file !== undefined);
        assert.equal(file.bytes, safe.bytes);
        const before = new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, safe.bytes));
        assert.equal((await linesOf(file.lines())).join("\n"), before.replace(/\n$/, ""));
        if (times === 0) continue;
        await file.write("end\n");
        const facts = await file.publish();
        assert.equal(facts.sha256, sha256(`${before}end\n`));
        assert.deepEqual(await files.facts(path), facts);
      }
      assert.equal((await stage.traces()).length, 1, "nothing but the file is left");
    },
  );

  test("of a growing file everything but the last two steps is safe", async (_, files, path) => {
    const text = textOf(6 * step);
    await using file = await files.create(path, { resumable: true });
    for (let at = 0; at < text.length; at += SLICE) {
      await file.write(text.slice(at, at + SLICE));
      const { bytes } = await file.sync();
      assert.ok(file.bytes - bytes < 2 * step + 2 * SLICE, `${file.bytes} were written, ${bytes} are safe`);
    }
    await files.discard(path);
  });

  test(
    "lost or damaged data of a growing file is not resumed, and can be set aside",
    async (stage, files, path) => {
      const text = textOf(5 * step);
      for (const how of ["lost", "damaged"] as const) {
        let safe: Safe;
        {
          await using file = await files.create(path, { resumable: true });
          safe = await writePages(file, text);
        }
        await stage.spoil(path, how);
        assert.equal(await stage.open().resume(path, safe), undefined, how);
        await files.setPartAside(path, how);
        assert.equal(await files.setPartAside(path, how), undefined, "it is aside");
        assert.equal(await files.resume(path, safe), undefined);
      }
      assert.equal(await files.resume(files.path("raw_users", "never.jsonl"), { bytes: 5 }), undefined);
    },
  );

  test(
    "a writer whose file another one took over neither publishes nor removes the other's data",
    async (stage, files, path) => {
      await using late = await files.create(path, { resumable: true });
      await late.write("late\n");
      await using next = await stage.open().create(path, { resumable: true });
      await next.write("next\n");
      await assert.rejects(late.publish(), TransientError);
      await late[Symbol.asyncDispose]();
      assert.equal((await next.publish()).sha256, sha256("next\n"));
      assert.deepEqual(await linesOf(files.lines(path)), ["next"]);
    },
  );

  test("a name is free until a file has it or grows under it", async (stage, files, path) => {
    assert.equal(await files.reserve(path), true);
    await using file = await files.create(path, { resumable: true });
    assert.equal(await stage.open().reserve(path), false);
    await file.write("x\n");
    await file.publish();
    assert.equal(await stage.open().reserve(path), false);
    await files.remove(path);
    assert.equal(await files.reserve(path), true);
    await files.discard(path);
    await files.discard(path);
    assert.deepEqual(await stage.traces(), []);
  });

  test("a file changed since its announcement is refused at its end", async (stage, files, path) => {
    const { sha256: announced } = await write(files, path, "a\nb\n");
    await stage.damage(path, "a\nc\n");
    const seen: string[] = [];
    await assert.rejects(async () => {
      for await (const { lines } of files.lines(path, { sha256: announced })) seen.push(...lines);
    }, (error: unknown) => {
      assert.ok(error instanceof PermanentError);
      assert.match(
        error.message,
        new RegExp(`its SHA-256 is ${sha256("a\nc\n")}, but ${announced} was announced`),
      );
      return true;
    });
    assert.deepEqual(seen, ["a", "c"]);
  });

  test(
    "reading ends with the signal and its reason, and when the reader stops",
    async (_, files, path) => {
      await write(files, path, textOf(2_000_000));
      const stop = new AbortController();
      const reason = new Error("enough");
      await assert.rejects(async () => {
        for await (const _ of files.lines(path, { signal: stop.signal })) stop.abort(reason);
      }, reason);
      for await (const { lines } of files.lines(path)) {
        assert.ok(lines.length > 0);
        break;
      }
    },
  );

  test("a missing file is a permanent failure that names it", async (_, files, path) => {
    for (const look of [() => linesOf(files.lines(path)), () => files.facts(path), () => files.size(path)]) {
      await assert.rejects(look(), (error: unknown) => {
        assert.ok(error instanceof PermanentError);
        assert.match(error.message, /^Cannot read .*raw_users\/x\.jsonl: it isn't there\./);
        return true;
      });
    }
  });

  test("every operation refuses a path that isn't a file of a run", async (_, files) => {
    const root = files.path("", "");
    const outside = [
      "/etc/passwd",
      `${root}../x`,
      `${root}x.jsonl`,
      `${root}dlq`,
      `${root}dlq/a\0b`,
      `${root}sealed/a/b`,
    ];
    for (const path of [...outside, `${root}raw_users/../state/extractor_state.json`]) {
      const refused = (error: unknown) =>
        error instanceof PermanentError && /wanted a path inside/.test(error.message);
      await assert.rejects(files.create(path), refused, path);
      await assert.rejects(files.facts(path), refused, path);
      await assert.rejects(files.exists(path), refused, path);
      await assert.rejects(linesOf(files.lines(path)), refused, path);
      await assert.rejects(files.remove(path), refused, path);
    }
  });

  test("a file and a folder are removed, and a missing one is fine", async (stage, files, path) => {
    await write(files, path, "x\n");
    await files.remove(path);
    await files.remove(path);
    const folder = files.path("sealed", "run");
    for (const name of ["a", "b"]) await write(files.sealed, `${folder}/${name}.age`, name);
    assert.equal((await files.sealed.facts(`${folder}/b.age`)).bytes, 1);
    await files.sealed.remove(folder);
    assert.deepEqual(await stage.traces(), []);
  });

  test(
    "documents are written as a whole, replace earlier ones, are listed by folder, and removed",
    async (stage, { documents }) => {
      assert.equal(await documents.read("transformed/a/x.json"), undefined);
      for (const text of ["one", `two & <Error>${"✓".repeat(10_000)}`]) {
        await documents.write("transformed/a/x.json", text);
        assert.equal(await stage.open().documents.read("transformed/a/x.json"), text);
      }
      await documents.write("transformed/b/y.json", "{}");
      await documents.write("untransformed/z.json", "{}");
      const names = await Array.fromAsync(documents.list("transformed"));
      assert.deepEqual(names, ["transformed/a/x.json", "transformed/b/y.json"]);
      assert.deepEqual(await Array.fromAsync(documents.list("nowhere")), []);
      await documents.remove("transformed/b/y.json");
      await documents.remove("transformed/b/y.json");
      assert.deepEqual(await Array.fromAsync(documents.list("transformed")), ["transformed/a/x.json"]);
    },
  );
}
