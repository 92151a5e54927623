/**
 * Parses JSON in bytes: validates it, and finds where its values begin and end.
 *
 * `JSON.parse` would build a page of objects only to read one id of each. It would also lose the text of numbers (`1.0`, `9007199254740993`), escapes
 * and duplicate keys. Accepts RFC 8259, like `JSON.parse`.
 */

/** Reads the value at `at`; returns the position after it. */
export type ReadValue = (at: number) => number;
/** Reads the value at `at` of the member whose key, with its quotes, is from `key` to `keyEnd`; returns the position after the value. */
type ReadMember = (key: number, keyEnd: number, at: number) => number;

const TAB = 9, NEWLINE = 10, RETURN = 13, SPACE = 32;
const QUOTE = 34, PLUS = 43, COMMA = 44, MINUS = 45, DOT = 46, ZERO = 48, NINE = 57, COLON = 58;
const OPEN_LIST = 91, BACKSLASH = 92, CLOSE_LIST = 93, OPEN = 123, CLOSE = 125;
const UPPER_E = 69, LOWER_E = 101, LOWER_U = 117;

const codes = (text: string) => new TextEncoder().encode(text);
const TRUE = codes("true"), FALSE = codes("false"), NULL = codes("null");

/** The longest string, in bytes, that is concatenated faster than decoded. */
const SHORT = 26;
const ASCII = 127;

/** The most digits of a whole number that is always exact. */
const SAFE_DIGITS = 15;

/** For each byte, 1 if it may follow a backslash. */
const ESCAPED = new Uint8Array(256);
for (const code of codes('"\\/bfnrt')) ESCAPED[code] = 1;
const HEX = new Uint8Array(256);
for (const code of codes("0123456789abcdefABCDEF")) HEX[code] = 1;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** JSON text in bytes, which must be UTF-8. Methods throw SyntaxError for invalid JSON, without quoting it. */
export class JsonBytes {
  /** Whether line ends occurred between the tokens read so far. */
  hasLineEnds = false;
  /** The most containers within each other of the values skipped so far. */
  levels = 0;
  /** The kinds of the open containers, outermost first: 1 for an object, 0 for a list. Without recursion, depth has no limit. */
  #open = new Uint8Array(64);

  constructor(private bytes: Uint8Array = new Uint8Array()) {}

  turnTo(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.hasLineEnds = false;
    this.levels = 0;
  }

  /** Reads the text's only value. @throws SyntaxError if anything follows it. */
  whole(read: ReadValue): void {
    if (this.#blank(read(this.#blank(0))) !== this.bytes.length) throw notJson();
  }

  isObject(at: number): boolean {
    return this.bytes[at] === OPEN;
  }

  isList(at: number): boolean {
    return this.bytes[at] === OPEN_LIST;
  }

  text(at: number, end: number): string {
    return decoder.decode(this.bytes.subarray(at, end));
  }

  /** The value from `at` to `end`, as JSON.parse reads it. */
  parsed(at: number, end: number): unknown {
    const first = this.bytes[at];
    if (first === TRUE[0]) return true;
    if (first === FALSE[0]) return false;
    return this.#shortNumber(at, end) ?? this.#plainString(at, end) ?? JSON.parse(this.text(at, end));
  }

  /** Most numbers are short, and parsed fastest this way. Dividing a safe integer by one power of ten rounds correctly. */
  #shortNumber(at: number, end: number): number | undefined {
    if (end - at > SAFE_DIGITS) return undefined;
    let number = 0;
    let scale = 0;
    for (; at < end; at++) {
      const code = this.bytes[at]!;
      if (code === DOT && scale === 0) scale = 1;
      else {
        if (code < ZERO || code > NINE) return undefined;
        number = 10 * number + code - ZERO;
        scale *= 10;
      }
    }
    return scale === 0 ? number : number / scale;
  }

  #plainString(at: number, end: number): string | undefined {
    if (this.bytes[at] !== QUOTE) return undefined;
    const short = end - at <= SHORT ? this.#ascii(at + 1, end - 1) : undefined;
    if (short !== undefined) return short;
    for (let i = at; i < end; i++) if (this.bytes[i] === BACKSLASH) return undefined;
    return this.text(at + 1, end - 1);
  }

  /** The text from `at` to `end`; undefined if it isn't plain ASCII. */
  #ascii(at: number, end: number): string | undefined {
    let text = "";
    for (; at < end; at++) {
      const code = this.bytes[at]!;
      if (code === BACKSLASH || code > ASCII) return undefined;
      text += String.fromCharCode(code);
    }
    return text;
  }

  /** Whether the key from `at` to `end`, with its quotes, is the ASCII text `name`, with or without escapes. */
  isKey(at: number, end: number, name: string): boolean {
    for (let i = 0; i < name.length; i++) {
      const code = this.bytes[at + 1 + i];
      if (code === BACKSLASH) return this.parsed(at, end) === name;
      if (code !== name.charCodeAt(i)) return false;
    }
    return end - at === name.length + 2;
  }

  /** Reads the object at `at`, member by member; returns the position after it. */
  members(at: number, read: ReadMember): number {
    at = this.#blank(at + 1);
    if (this.bytes[at] === CLOSE) return at + 1;
    for (;; at = this.#blank(at + 1)) {
      const keyEnd = this.#string(at);
      at = this.#blank(read(at, keyEnd, this.#value(keyEnd)));
      if (this.bytes[at] === CLOSE) return at + 1;
      if (this.bytes[at] !== COMMA) throw notJson();
    }
  }

  /** Reads the list at `at`, element by element; returns the position after it. */
  elements(at: number, read: ReadValue): number {
    at = this.#blank(at + 1);
    if (this.bytes[at] === CLOSE_LIST) return at + 1;
    for (;; at = this.#blank(at + 1)) {
      at = this.#blank(read(at));
      if (this.bytes[at] === CLOSE_LIST) return at + 1;
      if (this.bytes[at] !== COMMA) throw notJson();
    }
  }

  /** Skips the value at `at`; returns the position after it. */
  end(at: number): number {
    const { bytes } = this;
    for (let depth = 0;;) {
      const first = bytes[at]!;
      if (first === QUOTE) at = this.#string(at);
      else if (first === OPEN || first === OPEN_LIST) {
        const isObject = first === OPEN;
        this.#push(depth++, isObject);
        at = this.#blank(at + 1);
        if (bytes[at] !== (isObject ? CLOSE : CLOSE_LIST)) {
          if (isObject) at = this.#value(this.#string(at));
          continue;
        }
        depth -= 1;
        at += 1;
      } else if (first === MINUS || (first >= ZERO && first <= NINE)) at = this.#number(at);
      else at = this.#word(at);
      for (;;) {
        if (depth === 0) return at;
        at = this.#blank(at);
        const isObject = this.#open[depth - 1] === 1;
        if (bytes[at] === COMMA) {
          at = this.#blank(at + 1);
          if (isObject) at = this.#value(this.#string(at));
          break;
        }
        if (bytes[at] !== (isObject ? CLOSE : CLOSE_LIST)) throw notJson();
        depth -= 1;
        at += 1;
      }
    }
  }

  #push(depth: number, isObject: boolean): void {
    if (depth === this.#open.length) {
      const larger = new Uint8Array(2 * depth);
      larger.set(this.#open);
      this.#open = larger;
    }
    this.#open[depth] = Number(isObject);
    if (depth >= this.levels) this.levels = depth + 1;
  }

  #blank(at: number): number {
    const { bytes } = this;
    let code = bytes[at]!;
    while (code <= SPACE) {
      if (code === NEWLINE || code === RETURN) this.hasLineEnds = true;
      else if (code !== SPACE && code !== TAB) throw notJson();
      code = bytes[++at]!;
    }
    return at;
  }

  /** The position of the value whose key ends at `at`. */
  #value(at: number): number {
    at = this.#blank(at);
    if (this.bytes[at] !== COLON) throw notJson();
    return this.#blank(at + 1);
  }

  #string(at: number): number {
    const { bytes } = this;
    if (bytes[at] !== QUOTE) throw notJson();
    for (;;) {
      let code = bytes[++at]!;
      while (code !== QUOTE && code !== BACKSLASH && code >= SPACE) code = bytes[++at]!;
      if (code === QUOTE) return at + 1;
      if (code !== BACKSLASH) throw notJson();
      code = bytes[++at]!;
      if (code === LOWER_U) {
        for (let i = 0; i < 4; i++) if (HEX[bytes[++at]!] !== 1) throw notJson();
      } else if (ESCAPED[code] !== 1) throw notJson();
    }
  }

  #number(at: number): number {
    const { bytes } = this;
    if (bytes[at] === MINUS) at += 1;
    at = bytes[at] === ZERO ? at + 1 : this.#digits(at);
    if (bytes[at] === DOT) at = this.#digits(at + 1);
    if (bytes[at] === LOWER_E || bytes[at] === UPPER_E) {
      at += 1;
      if (bytes[at] === PLUS || bytes[at] === MINUS) at += 1;
      at = this.#digits(at);
    }
    return at;
  }

  #digits(at: number): number {
    const { bytes } = this;
    const first = at;
    for (let code = bytes[at]!; code >= ZERO && code <= NINE;) code = bytes[++at]!;
    if (at === first) throw notJson();
    return at;
  }

  #word(at: number): number {
    const { bytes } = this;
    const word = bytes[at] === TRUE[0] ? TRUE : bytes[at] === FALSE[0] ? FALSE : NULL;
    for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word[i]) throw notJson();
    return at + word.length;
  }
}

function notJson(): SyntaxError {
  return new SyntaxError("This is no JSON.");
}
