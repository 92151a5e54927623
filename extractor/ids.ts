/** Ids of records, and a compact set for millions of them. */

import type { JsonBytes } from "../shared/files/json_bytes.ts";

/** A number is its own id, any other value is identified by its JSON text. */
export type RecordId = number | string;

/**
 * The id between `at` and `end` of `json`; undefined if the value can't identify a record. Numbers are compared by
 * value up to 2^53, and by their text beyond, as two such ids could have the same value.
 */
export function idFrom(json: JsonBytes, at: number, end: number): RecordId | undefined {
  const value = json.parsed(at, end);
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "number") return undefined;
  return Number.isSafeInteger(value) ? value : json.text(at, end);
}

const WORD = 32;
const TWO_32 = 2 ** 32;

/** The set divides its entries among this many tables, so that growing one of them takes little additional memory. */
const PARTS = 256;

/**
 * A set of ids. Dense whole numbers take little more than a bit each, other ids at most 16 bytes, whatever their
 * length: of a text, 104 bits of its hash are kept. For 50 million texts the probability of a collision is 6 in 10^17.
 */
export class IdSet {
  readonly #words: Table[] = [];
  readonly #texts: Table[] = [];
  /** Different in each set, so that a source can't predict which texts collide. */
  readonly #seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  readonly #hash = new Uint32Array(4);

  /** Adds `id`, a text or a safe integer. Returns whether it is new. */
  add(id: RecordId): boolean {
    return this.#isNew(id, true);
  }

  has(id: RecordId): boolean {
    return !this.#isNew(id, false);
  }

  #isNew(id: RecordId, isAdded: boolean): boolean {
    const hash = this.#hash;
    if (typeof id === "string") {
      hashText(id, this.#seed, hash);
      const entry = hash[2]! || 1; // 0 marks an empty slot
      return partOf(this.#texts, hash[3]!).isNew(hash[0]!, hash[1]!, entry, isAdded);
    }
    const word = Math.floor(id / WORD); // a bit for each of 32 neighbouring ids
    const high = Math.floor(word / TWO_32) >>> 0;
    const low = word >>> 0;
    return partOf(this.#words, mixed(low ^ mixed(high))).isNew(
      low,
      high,
      (1 << (id - word * WORD)) >>> 0,
      isAdded,
    );
  }
}

function partOf(tables: Table[], hash: number): Table {
  return tables[hash % PARTS] ??= new Table();
}

/** Words of 32 bits: two for the key, one whose bits are the values added under that key. */
const ENTRY = 3;
const FULLEST = 0.9;
/** A table doubles up to this many slots, and grows more slowly beyond. */
const SMALL = 4_096;
const GROWTH = 1.08;

/** A hash table with open addressing in one typed array. It grows slowly, as empty slots take memory too. */
class Table {
  #capacity = 16;
  #entries = new Uint32Array(ENTRY * this.#capacity);
  #count = 0;

  /** Returns whether `bits` are new under `a` and `b`, and adds them if `isAdded`. */
  isNew(a: number, b: number, bits: number, isAdded: boolean): boolean {
    const at = this.#placeOf(a, b);
    const before = this.#entries[at + 2]!;
    if ((before & bits) >>> 0 === bits) return false;
    if (!isAdded) return true;
    this.#entries[at] = a;
    this.#entries[at + 1] = b;
    this.#entries[at + 2] = before | bits;
    if (before === 0 && ++this.#count > this.#capacity * FULLEST) this.#grow();
    return true;
  }

  #placeOf(a: number, b: number): number {
    const entries = this.#entries;
    const start = Math.floor(mixed(a ^ mixed(b)) * this.#capacity / TWO_32);
    for (let at = ENTRY * start;; at = at + ENTRY === entries.length ? 0 : at + ENTRY) {
      if (entries[at + 2] === 0 || (entries[at] === a && entries[at + 1] === b)) return at;
    }
  }

  #grow(): void {
    const entries = this.#entries;
    this.#capacity = Math.ceil(this.#capacity * (this.#capacity < SMALL ? 2 : GROWTH));
    this.#entries = new Uint32Array(ENTRY * this.#capacity);
    for (let from = 0; from < entries.length; from += ENTRY) {
      if (entries[from + 2] === 0) continue;
      const at = this.#placeOf(entries[from]!, entries[from + 1]!);
      for (let i = 0; i < ENTRY; i++) this.#entries[at + i] = entries[from + i]!;
    }
  }
}

const P = 0x239b961b, Q = 0xab0e9789, R = 0x38b34ae5, S = 0xa1e38b93;

/** Hashes `text` with MurmurHash3 (x86, 128 bits; public domain): two UTF-16 characters per word, padded with 0. */
function hashText(text: string, seed: number, hash: Uint32Array): void {
  let a = seed, b = seed, c = seed, d = seed;
  for (let at = 0; at < text.length; at += 8) {
    let word = Math.imul(text.charCodeAt(at) | text.charCodeAt(at + 1) << 16, P);
    a ^= Math.imul(word << 15 | word >>> 17, Q);
    a = Math.imul((a << 19 | a >>> 13) + b, 5) + 0x561ccd1b;
    word = Math.imul(text.charCodeAt(at + 2) | text.charCodeAt(at + 3) << 16, Q);
    b ^= Math.imul(word << 16 | word >>> 16, R);
    b = Math.imul((b << 17 | b >>> 15) + c, 5) + 0x0bcaa747;
    word = Math.imul(text.charCodeAt(at + 4) | text.charCodeAt(at + 5) << 16, R);
    c ^= Math.imul(word << 17 | word >>> 15, S);
    c = Math.imul((c << 15 | c >>> 17) + d, 5) + 0x96cd1c35;
    word = Math.imul(text.charCodeAt(at + 6) | text.charCodeAt(at + 7) << 16, S);
    d ^= Math.imul(word << 18 | word >>> 14, P);
    d = Math.imul((d << 13 | d >>> 19) + a, 5) + 0x32ac3b17;
  }
  a = mixed(a ^ text.length);
  b = mixed(b + a);
  c = mixed(c + b);
  d = mixed(d + c);
  hash[0] = a + d;
  hash[1] = b + a + d;
  hash[2] = c + d;
  hash[3] = d;
}

function mixed(bits: number): number {
  bits = Math.imul(bits ^ bits >>> 16, 0x85ebca6b);
  bits = Math.imul(bits ^ bits >>> 13, 0xc2b2ae35);
  return (bits ^ bits >>> 16) >>> 0;
}
