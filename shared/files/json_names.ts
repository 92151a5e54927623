/** A power of two. */
const PLACES = 4_096;
/** So that the search for a free place is short. */
const MOST_NAMES = PLACES / 2;

/** The number of the text, that of the object, and where the name begins and ends. */
const ENTRY = 4;
const LAST_TEXT = 2 ** 31 - 1;

/** The names in the objects of a JSON text, to find one that occurs twice: a hash table that is never cleared, as that would cost more. */
export class MemberNames {
  /** Whether in no object a name occurred twice. Also false where that wasn't decided: with `hasAlias`, or very many names. */
  areDistinct = true;
  readonly #entries = new Int32Array(ENTRY * PLACES);
  #text = 1;
  #count = 0;

  /** Begins with another text. */
  turn(): void {
    this.areDistinct = true;
    this.#count = 0;
    if (this.#text === LAST_TEXT) this.#entries.fill(this.#text = 0);
    this.#text += 1;
  }

  /**
   * Adds the name from `at` to `end` of `bytes`, with its quotes, of a member of the object with the number `object`. `hasAlias`: the same name
   * can be written in other bytes.
   */
  add(bytes: Uint8Array, object: number, at: number, end: number, hasAlias: boolean): void {
    if (hasAlias || ++this.#count > MOST_NAMES) {
      this.areDistinct = false;
      return;
    }
    const entries = this.#entries;
    let place = ENTRY * placeOf(bytes, object, at, end);
    for (; entries[place] === this.#text; place = (place + ENTRY) % entries.length) {
      if (entries[place + 1] === object && isSame(bytes, at, end, entries[place + 2]!, entries[place + 3]!)) {
        this.areDistinct = false;
        return;
      }
    }
    entries[place] = this.#text;
    entries[place + 1] = object;
    entries[place + 2] = at;
    entries[place + 3] = end;
  }
}

/** Where the search for a name begins: by some of its bytes, as a hash of all would take longer. */
function placeOf(bytes: Uint8Array, object: number, at: number, end: number): number {
  const last = end - 2; // the quote before it, if the name is empty
  const some = bytes[at + 1]! | bytes[at + end >>> 1]! << 8 | bytes[Math.max(at, last - 1)]! << 16 |
    bytes[last]! << 24;
  const hash = Math.imul(Math.imul(some ^ end - at, 0x239b961b) ^ object, 0x38b34ae5);
  return (hash ^ hash >>> 15) & PLACES - 1;
}

function isSame(bytes: Uint8Array, at: number, end: number, other: number, otherEnd: number): boolean {
  if (end - at !== otherEnd - other) return false;
  while (at < end && bytes[at] === bytes[other]) {
    at += 1;
    other += 1;
  }
  return at === end;
}
