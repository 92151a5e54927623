/** Parses only the needed part of a record's text: the fields of a reading plan, and the names of its keys. */
import type { Field } from "../shared/pipeline/fields.ts";
import { JsonBytes } from "../shared/files/json_bytes.ts";
import { MOST_LEVELS } from "../shared/pipeline/problems.ts";

const OPEN = 123;

/** The kinds of JSON values; the bit of the first is 1, of the next 2, and so on. */
export const KINDS = ["string", "number", "boolean", "object", "array", "null"] as const;

export function kindBit(kind: (typeof KINDS)[number]): number {
  return 1 << KINDS.indexOf(kind);
}

/** By the first byte of a value. */
const KIND_BITS = new Uint8Array(256);
for (
  const [first, kind] of [['"', 0], ["-0123456789", 1], ["tf", 2], ["{", 3], ["[", 4], ["n", 5]] as const
) {
  for (const character of first) KIND_BITS[character.charCodeAt(0)] = 1 << kind;
}

/** Positions in an object whose keys are cached. */
const MOST_KNOWN = 200;

/** Number of keys whose value kinds are tracked. */
const MOST_SEEN = 500;

/** Reads records one after another. The values are valid until the next `read`. */
export class RecordReader {
  readonly #json = new JsonBytes();
  readonly #record: ObjectReader;

  constructor(fields: readonly Field[]) {
    this.#record = new ObjectReader(this.#json, fields, true);
  }

  /** The planned fields that the record has. */
  get values(): Record<string, unknown> {
    return this.#record.values;
  }

  /** In the record's order. */
  get keys(): readonly string[] {
    return this.#record.keys;
  }

  /**
   * Calls `see` with each key of the record, in order, whose kind of value may be new for it. As most records are
   * alike, these are few.
   */
  seen(see: (name: string, bit: number) => void): void {
    this.#record.seen(see);
  }

  /**
   * Reads a line of UTF-8. Returns whether it is a JSON object without spaces around it, with at most half of the
   * levels that can be stored. The other members are valid only then.
   */
  read(line: Uint8Array): boolean {
    if (line[0] !== OPEN) return false;
    this.#json.turnTo(line);
    try {
      return this.#record.read(line, 0) === line.length && this.#json.levels <= MOST_LEVELS / 2;
    } catch (error) {
      if (error instanceof SyntaxError) return false;
      throw error;
    }
  }
}

/** A key that the last object had at some position. */
interface KnownKey {
  readonly text: Uint8Array;
  readonly name: string;
  readonly wanted: boolean;
  /** Reads its value if that is an object. */
  readonly below: ObjectReader | undefined;
  /** The bits of the kinds of its values so far, at any position. */
  readonly seen: { bits: number };
}

class ObjectReader {
  values: Record<string, unknown> = {};
  readonly keys: string[] = [];
  /** Keys, and the bits of kinds of values, that are new in the last record. */
  readonly #fresh: { readonly key: KnownKey; readonly place: number; readonly bit: number }[] = [];
  readonly #below: ReadonlyMap<string, ObjectReader | undefined>;
  /** The keys at each position of the last objects: most objects have the same ones. */
  readonly #known: KnownKey[] = [];
  readonly #seen = new Map<string, KnownKey["seen"]>();
  #line: Uint8Array = new Uint8Array();

  constructor(
    private readonly json: JsonBytes,
    fields: readonly Field[],
    private readonly watches: boolean = false,
  ) {
    this.#below = new Map(
      fields.map(({ key, below }) => [key, below?.length ? new ObjectReader(json, below) : undefined]),
    );
  }

  /** Reads the object at `at`; returns the position after it. */
  read(line: Uint8Array, at: number): number {
    this.#line = line;
    this.values = {};
    this.keys.length = 0;
    this.#fresh.length = 0;
    return this.json.members(at, this.#member);
  }

  seen(see: (name: string, bit: number) => void): void {
    for (const { key, place, bit } of this.#fresh) {
      const isRead = this.keys.lastIndexOf(key.name) === place; // of duplicate keys the last value counts
      if (isRead) key.seen.bits |= bit;
      see(key.name, isRead ? bit : 0);
    }
  }

  readonly #member = (key: number, keyEnd: number, at: number): number => {
    const known = this.#keyOf(key, keyEnd);
    const { name, wanted, below } = known;
    if (this.watches) {
      const bit = KIND_BITS[this.#line[at]!]!;
      if ((known.seen.bits & bit) === 0) this.#fresh.push({ key: known, place: this.keys.length, bit });
    }
    this.keys.push(name);
    if (!wanted) return this.json.end(at);
    if (below !== undefined && this.json.isObject(at)) {
      const end = below.read(this.#line, at);
      this.values[name] = below.values;
      return end;
    }
    const end = this.json.end(at);
    this.values[name] = this.json.parsed(at, end);
    return end;
  };

  #keyOf(key: number, keyEnd: number): KnownKey {
    const place = this.keys.length;
    const known = this.#known[place];
    if (known !== undefined && this.#stands(known.text, key, keyEnd)) return known;
    const name = this.json.parsed(key, keyEnd) as string;
    const wanted = this.#below.has(name);
    const learnt = {
      text: this.#line.slice(key, keyEnd),
      name,
      wanted,
      below: this.#below.get(name),
      seen: this.#seenOf(name),
    };
    if (place < MOST_KNOWN) this.#known[place] = learnt;
    return learnt;
  }

  #seenOf(name: string): KnownKey["seen"] {
    let seen = this.#seen.get(name);
    if (seen === undefined) {
      seen = { bits: 0 };
      if (this.watches && this.#seen.size < MOST_SEEN) this.#seen.set(name, seen);
    }
    return seen;
  }

  #stands(text: Uint8Array, at: number, end: number): boolean {
    if (end - at !== text.length) return false;
    for (let i = 0; i < text.length; i++) if (this.#line[at + i] !== text[i]) return false;
    return true;
  }
}
