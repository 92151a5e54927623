/**
 * The text of each record of a page, exactly as the source wrote it.
 *
 * `JSON.parse` followed by `JSON.stringify` would lose what a number looked like (`1.0`, `9007199254740993`), escapes and duplicate keys.
 *
 * @module
 */

const QUOTE = 34, COMMA = 44, OPEN_LIST = 91, BACKSLASH = 92, CLOSE_LIST = 93, OPEN = 123, CLOSE = 125;

/**
 * The elements of the list under `key` in the JSON object `text`, each as one line: byte for byte the source's text, except that line ends
 * between its tokens are left out. As in `JSON.parse`, the last one of duplicate keys counts.
 *
 * `text` has to be valid JSON (let `JSON.parse` look at it first) of an object that has a list under `key`; the result is undefined otherwise.
 */
export function sliceElements(text: string, key: string): string[] {
  let elements: string[] = [];
  let at = skipBlank(text, 0) + 1; // after the opening brace
  for (at = skipBlank(text, at); text.charCodeAt(at) === QUOTE; at = skipBlank(text, at)) {
    const keyEnd = skipString(text, at);
    const found = text.slice(at, keyEnd);
    at = skipBlank(text, skipBlank(text, keyEnd) + 1); // after the colon
    if (isKey(found, key) && text.charCodeAt(at) === OPEN_LIST) {
      elements = [];
      at = sliceList(text, at, elements);
    } else {
      at = skipValue(text, at);
    }
    at = skipBlank(text, at);
    if (text.charCodeAt(at) === COMMA) at += 1;
  }
  const pretty = text.includes("\n") || text.includes("\r");
  return pretty ? elements.map((element) => element.replace(/[\r\n]+/g, "")) : elements;
}

function isKey(quoted: string, key: string): boolean {
  return quoted === `"${key}"` || (quoted.includes("\\") && JSON.parse(quoted) === key);
}

/** Adds the text of each element of the list that opens at `at`; answers the position after the list. */
function sliceList(text: string, at: number, elements: string[]): number {
  at = skipBlank(text, at + 1);
  while (text.charCodeAt(at) !== CLOSE_LIST) {
    const end = skipValue(text, at);
    elements.push(text.slice(at, end));
    at = skipBlank(text, end);
    if (text.charCodeAt(at) === COMMA) at = skipBlank(text, at + 1);
  }
  return at + 1;
}

/** The position after the value that begins at `at`. */
function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return skipString(text, at);
  if (first !== OPEN && first !== OPEN_LIST) return skipScalar(text, at);
  let depth = 1;
  for (at += 1; depth > 0; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = skipString(text, at) - 1;
    else if (code === OPEN || code === OPEN_LIST) depth += 1;
    else if (code === CLOSE || code === CLOSE_LIST) depth -= 1;
  }
  return at;
}

/** The position after the closing quote of the string whose opening quote is at `at`: a quote ends it unless an odd number of backslashes precedes. */
function skipString(text: string, at: number): number {
  for (let quote = text.indexOf('"', at + 1);; quote = text.indexOf('"', quote + 1)) {
    let before = quote - 1;
    while (text.charCodeAt(before) === BACKSLASH) before -= 1;
    if ((quote - before) % 2 === 1) return quote + 1;
  }
}

/** The position after a number, `true`, `false` or `null`. */
function skipScalar(text: string, at: number): number {
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === COMMA || code === CLOSE || code === CLOSE_LIST || code <= 32) break;
  }
  return at;
}

function skipBlank(text: string, at: number): number {
  while (text.charCodeAt(at) <= 32) at += 1;
  return at;
}
