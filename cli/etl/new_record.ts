import * as z from "zod";
import { isObject, type JsonObject } from "../../shared/pipeline/problems.ts";

interface RecordFound {
  readonly lines: readonly string[];
  readonly mask: readonly string[];
  /** Fields with the time of a change or creation, the better ones first. */
  readonly times: readonly { readonly path: string; readonly first: string | number }[];
}

const KEYS = ["id", "uuid", "guid", "_id", "key", "code", "number", "slug", "sku", "doi", "name", "url"];
const MOST_FIELDS = 60;
const DEPTH = 3;

/** The field that every record has, with distinct values; undefined if there is none. */
export function keyIn(records: readonly JsonObject[]): string | undefined {
  const rank = (key: string) => {
    const at = KEYS.indexOf(key.toLowerCase());
    return at >= 0 ? at : /(id|_?key|number)$/i.test(key) ? KEYS.length : Infinity;
  };
  return Object.keys(records[0] ?? {})
    .filter((key) => rank(key) < Infinity && !key.includes("."))
    .sort((a, b) => rank(a) - rank(b))
    .find((key) => {
      const values = records.map((record) => record[key]);
      return values.every((value) =>
        (typeof value === "string" && value !== "") || Number.isSafeInteger(value)
      ) &&
        new Set(values).size === values.length;
    });
}

const FORMATS: [text: string, schema: z.ZodType][] = [
  ["z.iso.datetime({ offset: true })", z.iso.datetime({ offset: true })],
  ["z.iso.date()", z.iso.date()],
  ["z.uuid()", z.uuid()],
  ["z.email()", z.email()],
  ["z.url()", z.url({ protocol: /^https?$/ })],
];

const PERSONAL =
  /^e?-?mail|_mail$|email|phone|mobile|^tel$|^ssn$|passport|iban|(card|account)_?(number|expir\w*)|^(ein|login|user_?name|user_?agent|cvc|cvv)$|mac_?address|wallet|birth|^dob$|password|secret|token|^(first|last|full|given|family|middle|maiden)_?name$|^(address|street|zip|postal)|postcode|^ip(_address)?$|tax_?id|^(gender|sex)$|latitude|longitude/i;

const PERSON =
  /person|people|customer|billing|shipping|contact|buyer|payer|patient|employee|recipient|owner/i;

export function recordIn(records: readonly JsonObject[], key: string | undefined): RecordFound {
  const notes: Notes = { mask: [], times: [] };
  const lines = members(records, [], key, notes);
  notes.times.sort((a, b) => a.rank - b.rank);
  return { lines, ...notes };
}

type Notes = {
  mask: string[];
  times: { path: string; first: string | number; rank: number }[];
};

function members(
  objects: readonly JsonObject[],
  path: readonly string[],
  key: string | undefined,
  notes: Notes,
): string[] {
  const keys = [...new Set(objects.flatMap(Object.keys))].filter((name) => name !== "__proto__");
  const lines = keys.slice(0, MOST_FIELDS).map((name) => {
    const values = objects.filter((object) => Object.hasOwn(object, name)).map((object) => object[name]);
    const isOptional = values.length < objects.length;
    const at = [...path, name];
    const isReachable = at.every((key) => !key.includes(".")) && at.length <= 5;
    if (isReachable) note(at.join("."), name, values, notes);
    const { text, doubt } = typeOf(values, at, notes);
    const member = /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
    const isKey = path.length === 0 && name === key;
    const optional = isOptional && !isKey && !text.endsWith(".optional()") ? ".optional()" : "";
    return `${member}: ${text}${optional},${doubt === undefined ? "" : ` // NOT SURE: ${doubt}`}`;
  });
  if (keys.length > MOST_FIELDS) {
    lines.push(`// ${keys.length - MOST_FIELDS} more fields pass through as they are`);
  }
  return lines;
}

const ONLY_NULL = "only null so far";

function typeOf(
  values: readonly unknown[],
  path: readonly string[],
  notes: Notes,
): { text: string; doubt?: string } {
  const there = values.filter((value) => value !== null);
  if (there.length === 0) return { text: "z.unknown().optional()", doubt: ONLY_NULL };
  const nullable = there.length < values.length ? ".nullable()" : "";
  const kinds = new Set(there.map((value) => Array.isArray(value) ? "array" : typeof value));
  const [kind] = kinds;
  if (kinds.size > 1) {
    const isPlain = [...kinds].every((kind) => ["string", "number", "boolean"].includes(kind));
    if (!isPlain) {
      return { text: "z.unknown().optional()", doubt: `values of several kinds: ${[...kinds].join(", ")}` };
    }
    return { text: `z.union([${[...kinds].map((kind) => `z.${kind}()`).join(", ")}])${nullable}` };
  }
  switch (kind) {
    case "number":
      return { text: `${there.every(Number.isInteger) ? "integer" : "z.number()"}${nullable}` };
    case "boolean":
      return { text: `z.boolean()${nullable}` };
    case "string": {
      const format = FORMATS.find(([, schema]) => there.every((value) => schema.safeParse(value).success));
      return { text: `${format?.[0] ?? "z.string()"}${nullable}` };
    }
    case "array": {
      const items = there.flat(1) as unknown[];
      const one = new Set(items.map((item) => typeof item));
      const [type] = one;
      const isPlain = one.size === 1 && ["string", "number", "boolean"].includes(type!);
      return { text: `z.array(${isPlain ? `z.${type}()` : "z.unknown()"})${nullable}` };
    }
    default: {
      const objects = there.filter(isObject);
      if (path.length >= DEPTH || Object.keys(objects[0] ?? {}).length === 0) {
        return { text: "z.unknown().optional()" };
      }
      return { text: `z.object({\n${members(objects, path, undefined, notes).join("\n")}\n})${nullable}` };
    }
  }
}

function isPersonal(path: string): boolean {
  const [key, ...above] = path.split(".").reverse();
  return PERSONAL.test(key!) || (key === "name" && above.some((key) => PERSON.test(key)));
}

function note(path: string, key: string, values: readonly unknown[], { mask, times }: Notes): void {
  const there = values.filter((value) => value !== null && value !== "");
  if (there.length === 0) return;
  const isEmail = there.every((value) => typeof value === "string" && /^[^@\s]+@[^@\s]+\.\w+$/.test(value));
  const inList = there.some((value) =>
    Array.isArray(value) &&
    value.some((item) => isObject(item) && Object.keys(item).some((key) => PERSONAL.test(key)))
  );
  const isFlag = there.every((value) => typeof value === "boolean");
  const isMasked = mask.some((above) => path.startsWith(`${above}.`));
  if (!isMasked && !isFlag && (isEmail || inList || isPersonal(path))) mask.push(path);
  const rank = /updated|modified|changed|edited/i.test(key)
    ? 0
    : /created|inserted|published|indexed/i.test(key)
    ? 1
    : 2;
  const isTime = there.every((value) => typeof value === "string" && /^\d{4}-\d\d-\d\d/.test(value)) ||
    (rank < 2 && there.every((value) => Number.isInteger(value) && Number(value) > 1e9));
  if (isTime && (rank < 2 || /date|time|(_at|At)$/.test(key))) {
    times.push({ path, first: there[0] as string | number, rank });
  }
}
