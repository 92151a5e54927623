import type { Auth, Secret } from "./mod.ts";
import { complaintsOf, PARTS } from "./definition.ts";
import { type Placed, replaced, variableOf } from "./placeholder.ts";

export { variablesOf } from "./placeholder.ts";

/** A part of a definition whose placeholders are resolved: a secret is its text. */
export type Resolved<T> = T extends Secret ? string
  : T extends readonly unknown[] | object ? { [K in keyof T]: Resolved<T[K]> }
  : T;

/** Access to a variable; an empty value counts as unset. */
export type ReadEnv = (name: string) => string | undefined;

/**
 * A part of a definition with the environment's values in it, and everything that is wrong with them: a secret that is missing, a text where a
 * number is wanted, a value that the definition would not be allowed to hold. Where there are problems, the value must not be used. No problem
 * quotes a secret.
 *
 * @param as which part it is, so that values are checked as the definition's own; default: the types alone
 */
export function resolved<T>(
  part: T,
  readEnv: ReadEnv,
  as?: keyof typeof PARTS,
): { value: Resolved<T>; problems: string[] } {
  const problems = new Set<string>();
  const given: { placed: Placed; text: string }[] = [];
  const filled = replaced(part, (placed) => {
    const { placeholder } = placed;
    if (!("env" in placeholder)) return placeholder;
    const { env, fallback } = placeholder;
    const text = readEnv(env) || undefined;
    if (text === undefined) return fallback;
    given.push({ placed, text });
    if (typeof fallback === "string") return text;
    const number = Number(text);
    if (text.trim() !== "" && Number.isFinite(number)) return number;
    problems.add(`${env} is ${JSON.stringify(text)}: wanted a number, such as ${fallback}`);
    return fallback;
  });
  if (as !== undefined) {
    for (const { path, text } of complaintsOf(PARTS[as], filled)) {
      const from = given.find(({ placed }) => String(placed.path) === String(path));
      // what the file says by itself was checked when it was loaded
      if (from !== undefined) problems.add(`${variableOf(from.placed.placeholder)} is ${text}`);
    }
  }
  const value = replaced(filled, ({ placeholder }) => {
    const name = variableOf(placeholder);
    const text = readEnv(name) || undefined;
    if (text === undefined) {
      problems.add(`${name} is unset: wanted a secret; set it in the environment or in .env`);
    } else if (/[\r\n\0]/.test(text)) problems.add(`${name} is (hidden): wanted one line`);
    return text ?? "";
  });
  return { value: value as Resolved<T>, problems: [...problems] };
}

/** How a source knows who asks, with the secrets' texts. */
export type ResolvedAuth = Resolved<Auth>;
