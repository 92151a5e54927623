import assert from "node:assert/strict";
import fc from "fast-check";
import { type Flaw, MAX_LINE_BYTES, splitLines } from "./lines.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** Yields chunks that are overwritten when the next one is requested, as a reader's buffer is. */
async function* reused(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await Promise.resolve();
    const buffer = chunk.slice();
    yield buffer;
    buffer.fill(0x23);
  }
}

async function split(chunks: readonly Uint8Array[], maxLineBytes?: number) {
  const lines: string[] = [];
  const flaws: [number, Flaw][] = [];
  for await (const batch of splitLines(reused(chunks), maxLineBytes)) {
    assert.equal(batch.first, lines.length + 1);
    for (const [index, flaw] of batch.flaws) flaws.push([batch.first + index, flaw]);
    lines.push(...batch.lines);
  }
  return { lines, flaws };
}

function naiveSplit(bytes: Uint8Array, maxLineBytes: number) {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
  const parts: Uint8Array[] = [];
  let start = 0;
  bytes.forEach((byte, i) => {
    if (byte !== 10) return;
    parts.push(bytes.subarray(start, i));
    start = i + 1;
  });
  if (start < bytes.length) parts.push(bytes.subarray(start));
  const flaws: [number, Flaw][] = [];
  const lines = parts.map((part, i) => {
    const line = part.at(-1) === 13 ? part.subarray(0, -1) : part;
    if (line.length > maxLineBytes) {
      flaws.push([i + 1, "too-long"]);
      return new TextDecoder("utf-8", { ignoreBOM: true })
        .decode(line.subarray(0, maxLineBytes), { stream: true });
    }
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(line);
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(line);
    } catch {
      flaws.push([i + 1, "invalid-utf8"]);
    }
    return text;
  });
  return { lines, flaws };
}

/** Bytes likely to cause errors: line ends, the byte order mark, parts of characters, and any others. */
const bytes = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom([10], [13], [13, 10], [0xef, 0xbb, 0xbf], [0xc3], [0xff], [0]) },
    { weight: 3, arbitrary: fc.string({ unit: "grapheme" }).map((text) => [...encode(text)]) },
    { weight: 1, arbitrary: fc.array(fc.nat(255)) },
  ),
).map((parts) => new Uint8Array(parts.flat()));

function cutAt(whole: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (whole.length + 1)).sort((a, b) => a - b), whole.length];
  return ends.map((end, i) => whole.subarray(ends[i - 1] ?? 0, end));
}

Deno.test("any bytes in any chunks give the lines of a naive split", async () => {
  await fc.assert(
    fc.asyncProperty(
      bytes,
      fc.array(fc.nat(), { maxLength: 12 }),
      fc.constantFrom(MAX_LINE_BYTES, 3, 5, 8),
      async (whole, places, maxLineBytes) => {
        assert.deepEqual(await split(cutAt(whole, places), maxLineBytes), naiveSplit(whole, maxLineBytes));
      },
    ),
    { numRuns: 3_000 },
  );
});

for (
  const [what, text, lines] of [
    ["an empty file has no lines", "", []],
    ["a file of one line end has one blank line", "\n", [""]],
    ["a last line needs no line end", "a\nb", ["a", "b"]],
    ["a last line end begins no line", "a\nb\n", ["a", "b"]],
    ["a line end of Windows is one", "a\r\n\r\nb\r\n", ["a", "", "b"]],
    ["a carriage return inside a line stays", "a\rb\n", ["a\rb"]],
    ["a byte order mark alone has no lines", "\ufeff", []],
    ["a byte order mark is left out at the beginning, and nowhere else", "\ufeffa\n\ufeffb\n", [
      "a",
      "\ufeffb",
    ]],
    ["separators of other standards end no line", "a\u2028b\u0085c\n", ["a\u2028b\u0085c"]],
  ] as const
) {
  Deno.test(what, async () => {
    const whole = encode(text);
    assert.deepEqual((await split([whole])).lines, lines);
    assert.deepEqual((await split([...whole].map((byte) => new Uint8Array([byte])))).lines, lines);
  });
}

Deno.test("bytes that aren't UTF-8 affect only their own line", async () => {
  const whole = new Uint8Array([...encode("good\n"), 0xff, 0x61, 10, ...encode("also good ✓\n")]);
  assert.deepEqual(await split([whole]), {
    lines: ["good", "\ufffda", "also good ✓"],
    flaws: [[2, "invalid-utf8"]],
  });
});

Deno.test("an endless line is truncated, marked as such, and never held in memory as a whole", async () => {
  const chunk = encode("x".repeat(1_000));
  let held = 0;
  async function* endless() {
    for (let i = 0; i < 100_000; i++) {
      yield chunk;
      if (i % 10_000 === 0) held = Math.max(held, Deno.memoryUsage().external);
      if (i % 1_000 === 0) await Promise.resolve();
    }
    yield encode("\nnext\n");
  }
  const before = Deno.memoryUsage().external;
  const batches = [];
  for await (const batch of splitLines(endless(), 50_000)) batches.push(batch);
  assert.deepEqual(batches.flatMap(({ lines }) => lines), ["x".repeat(50_000), "next"]);
  assert.deepEqual([...batches[0]!.flaws], [[0, "too-long"]]);
  assert.ok(held - before < 10_000_000, `${held - before} bytes held for 100 MB`);
});

Deno.test("a truncation splits no character", async () => {
  const { lines, flaws } = await split([encode("ab✓✓\n")], 6);
  assert.deepEqual({ lines, flaws }, { lines: ["ab✓"], flaws: [[1, "too-long"]] });
});
