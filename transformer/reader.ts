/**
 * Of a record's text, no more than the next step needs: the ruled fields, and the names of its keys.
 *
 * @module
 */
import { JsonBytes } from "../shared/files/json_bytes.ts";

const OPEN = 123;

/** The ruled fields of a record, as far as it has them. */
export interface Ruled {
  /** See `ValidUser`. */
  id?: unknown;
  /** See `ValidUser`. */
  firstName?: unknown;
  /** See `ValidUser`. */
  email?: unknown;
  /** See `ValidUser`. */
  age?: unknown;
  /** See `ValidUser`; of an object no more than the department. */
  company?: unknown;
}

/** Places in a record whose keys are remembered. */
const MOST_KNOWN = 200;

/** Reads one record after the other. What it says of one is good until it reads the next. */
export class RecordReader {
  /** The ruled fields of the record. */
  ruled: Ruled = {};
  /** The names of its keys, in their order. */
  readonly keys: string[] = [];

  /** The keys at each place of the last records, with their texts: most records have the same ones. */
  readonly #known: { text: Uint8Array; name: string }[] = [];
  readonly #json = new JsonBytes();
  #line: Uint8Array = new Uint8Array();

  /** Reads a line of UTF-8; answers whether it is a JSON object, without blanks around it. Only then is the rest of it said. */
  read(line: Uint8Array): boolean {
    if (line[0] !== OPEN) return false;
    this.#line = line;
    this.#json.turnTo(line);
    this.ruled = {};
    this.keys.length = 0;
    try {
      return this.#json.members(0, this.#member) === line.length;
    } catch (error) {
      if (error instanceof SyntaxError) return false;
      throw error;
    }
  }

  readonly #member = (key: number, keyEnd: number, at: number): number => {
    const name = this.#nameOf(key, keyEnd);
    const end = name === "company" && this.#json.isObject(at) ? this.#readCompany(at) : this.#json.end(at);
    switch (name) {
      case "id":
      case "firstName":
      case "email":
      case "age":
        this.ruled[name] = this.#json.parsed(at, end);
        break;
      case "company":
        if (!this.#json.isObject(at)) this.ruled.company = this.#json.parsed(at, end);
        break;
    }
    return end;
  };

  #nameOf(key: number, keyEnd: number): string {
    const place = this.keys.length;
    const known = this.#known[place];
    const name = known !== undefined && this.#stands(known.text, key, keyEnd)
      ? known.name
      : this.#learn(place, key, keyEnd);
    this.keys.push(name);
    return name;
  }

  #stands(text: Uint8Array, at: number, end: number): boolean {
    if (end - at !== text.length) return false;
    for (let i = 0; i < text.length; i++) if (this.#line[at + i] !== text[i]) return false;
    return true;
  }

  #learn(place: number, key: number, keyEnd: number): string {
    const name = this.#json.parsed(key, keyEnd) as string;
    if (place < MOST_KNOWN) this.#known[place] = { text: this.#line.slice(key, keyEnd), name };
    return name;
  }

  #readCompany(at: number): number {
    const company: { department?: unknown } = {};
    this.ruled.company = company;
    return this.#json.members(at, (key, keyEnd, at) => {
      const end = this.#json.end(at);
      if (this.#json.isKey(key, keyEnd, "department")) company.department = this.#json.parsed(at, end);
      return end;
    });
  }
}
