/**
 * Reads no more of a record's text than the next step needs: the fields of a reading plan, and the names of its keys.
 *
 * @module
 */
import type { Field } from "../shared/pipeline/fields.ts";
import { JsonBytes } from "../shared/files/json_bytes.ts";

const OPEN = 123;

/** Places in an object whose keys are remembered. */
const MOST_KNOWN = 200;

/** Reads one record after another. Its values are valid until the next `read`. */
export class RecordReader {
  readonly #json = new JsonBytes();
  readonly #record: ObjectReader;

  constructor(fields: readonly Field[]) {
    this.#record = new ObjectReader(this.#json, fields);
  }

  /** The fields of the record, as far as it has them; of an object no more than is planned. */
  get values(): Record<string, unknown> {
    return this.#record.values;
  }

  /** The names of its keys, in their order. */
  get keys(): readonly string[] {
    return this.#record.keys;
  }

  /** Reads a line of UTF-8; answers whether it is a JSON object without blanks around it. Only then are the other members valid. */
  read(line: Uint8Array): boolean {
    if (line[0] !== OPEN) return false;
    this.#json.turnTo(line);
    try {
      return this.#record.read(line, 0) === line.length;
    } catch (error) {
      if (error instanceof SyntaxError) return false;
      throw error;
    }
  }
}

/** A key as it stood at some place of the last object. */
interface KnownKey {
  readonly text: Uint8Array;
  readonly name: string;
  /** Whether its value is wanted. */
  readonly wanted: boolean;
  /** Reads its value where that is an object. */
  readonly below: ObjectReader | undefined;
}

class ObjectReader {
  values: Record<string, unknown> = {};
  readonly keys: string[] = [];
  readonly #below: ReadonlyMap<string, ObjectReader | undefined>;
  /** The keys at each place of the last objects: most objects have the same ones. */
  readonly #known: KnownKey[] = [];
  #line: Uint8Array = new Uint8Array();

  constructor(private readonly json: JsonBytes, fields: readonly Field[]) {
    this.#below = new Map(
      fields.map(({ key, below }) => [key, below?.length ? new ObjectReader(json, below) : undefined]),
    );
  }

  /** Reads the object at `at`; answers the position after it. */
  read(line: Uint8Array, at: number): number {
    this.#line = line;
    this.values = {};
    this.keys.length = 0;
    return this.json.members(at, this.#member);
  }

  readonly #member = (key: number, keyEnd: number, at: number): number => {
    const { name, wanted, below } = this.#keyOf(key, keyEnd);
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
    const learnt = { text: this.#line.slice(key, keyEnd), name, wanted, below: this.#below.get(name) };
    if (place < MOST_KNOWN) this.#known[place] = learnt;
    return learnt;
  }

  #stands(text: Uint8Array, at: number, end: number): boolean {
    if (end - at !== text.length) return false;
    for (let i = 0; i < text.length; i++) if (this.#line[at + i] !== text[i]) return false;
    return true;
  }
}
