/** Messages about a record, in Spanish. Data and API keep the English text; only the page translates it. */

const WORDS: Readonly<Record<string, string>> = {
  "greater than": "es mayor que",
  "less than": "es menor que",
  "not an integer": "no es un número entero",
  "not a number": "no es un número",
  "not a string": "no es un texto",
  "not an email address": "no es una dirección de correo electrónico",
  "empty": "está vacío",
  "beyond the numbers that can be kept": "está fuera del rango de números admitido",
  "missing": "falta",
  "null": "nulo",
  "an array": "una lista",
  "an object": "un objeto",
  "a string": "un texto",
  "a number": "un número",
  "a boolean": "un booleano",
  "Invalid JSON": "JSON no válido",
  "Not an object": "No es un objeto",
  "unexpected character": "carácter inesperado",
  "the text ends too early": "el texto termina antes de tiempo",
};
const word = (text: string) => WORDS[text] ?? text;

/** One or more messages, such as `age: 70 is greater than 65; email: missing`; unknown ones stay unchanged. */
export function inSpanish(text: string): string {
  // quoted values are the record's own: they must not be translated
  return text.match(/(?:"(?:[^"\\]|\\.)*"|[^;"]|"|;(?! ))+|; /g)?.map(one).join("") ?? text;
}

function one(text: string): string {
  return text
    .replace(/^(Invalid JSON|Not an object)\b/, word)
    .replace(
      /^(\S*: )?(an array|an object|a string|a boolean|null)(?= is (?:not|empty))/,
      (_all, field = "", kind) => `${field}${word(kind)}`,
    )
    .replace(
      /(^| is |: )(greater than|less than)( \S+)$/,
      (_all, lead, kind, limit) => `${lead.replace(" is", "")}${word(kind)}${limit}`,
    )
    .replace(
      /(^| is |: )(not an? [a-z ]+|empty|beyond [a-z ]+)$/,
      (_all, lead, kind) => `${lead.replace(" is", "")}${word(kind)}`,
    )
    .replace(
      /(^|: )missing(?: \((\S+) is ([a-z ]+)\))?$/,
      (_all, lead, parent, kind) => `${lead}falta${parent ? ` (${parent} es ${word(kind)})` : ""}`,
    )
    .replace(
      /: found ([a-z ]+), wanted a JSON object$/,
      (_all, kind) => `: se encontró ${word(kind)}, se esperaba un objeto JSON`,
    )
    .replace(/: (unexpected character|the text ends too early)$/, (_all, kind) => `: ${word(kind)}`)
    .replace(/^(an? [a-z]+|null)$/, word);
}
