import { createHash } from "node:crypto";
import { PermanentError } from "../errors/errors.ts";
import { Conflict, type FileFacts, type ReadOptions } from "./files.ts";
import { type LineBatch, splitLines } from "./lines.ts";

/** Reads a file's blocks line by line: see `Files.lines`. */
export async function* linesOf(
  path: string,
  blocks: AsyncIterable<Uint8Array>,
  { sha256, onEnd, maxLineBytes }: ReadOptions = {},
): AsyncGenerator<LineBatch> {
  const tally = sha256 === undefined && onEnd === undefined ? undefined : new Tally(path);
  yield* splitLines(tally === undefined ? blocks : tally.of(blocks), maxLineBytes);
  const facts = tally?.facts();
  if (sha256 !== undefined && facts?.sha256 !== sha256) {
    throw new PermanentError(
      `Cannot use ${path}: its SHA-256 is ${facts?.sha256}, but ${sha256} was announced, so it was changed or truncated since. ` +
        `Put the announced file back and replay the dead letter, or start a new run.`,
    );
  }
  if (facts !== undefined) onEnd?.(facts);
}

export async function factsOf(path: string, blocks: AsyncIterable<Uint8Array>): Promise<FileFacts> {
  const tally = new Tally(path);
  for await (const _ of tally.of(blocks));
  return tally.facts();
}

/** The error for a name that belongs to other content. @throws Conflict */
export function insistOnSame(there: FileFacts, wanted: FileFacts): void {
  if (there.sha256 === wanted.sha256) return;
  throw new Conflict(
    `Cannot publish ${wanted.name}: a file of that name is there with SHA-256 ${there.sha256}, wanted ${wanted.sha256}. ` +
      `It isn't replaced: move it away and replay the dead letter, or start a new run.`,
  );
}

/** Collects the facts of a file as its bytes are read. */
class Tally {
  readonly #hash = createHash("sha256");
  #bytes = 0;

  constructor(private readonly name: string) {}

  async *of(blocks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const block of blocks) {
      this.#hash.update(block);
      this.#bytes += block.length;
      yield block;
    }
  }

  facts(): FileFacts {
    return { name: this.name, bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }
}
