import type { Auth, Secret } from "./mod.ts";
import { complaintsOf, PARTS } from "./definition.ts";
import { type Placed, replaced, variableOf } from "./placeholder.ts";

export { variablesOf } from "./placeholder.ts";

/** A part of a definition with its placeholders resolved: a secret becomes its text. */
export type Resolved<T> = T extends Secret ? string
  : T extends readonly unknown[] | object ? { [K in keyof T]: Resolved<T[K]> }
  : T;

/** An empty value counts as unset. */
export type ReadEnv = (name: string) => string | undefined;

/**
 * A part of a definition with the environment's values, and all their problems: a missing secret, a text instead of a
 * number, a value that the definition doesn't allow. If there are problems, the value must not be used. No problem
 * quotes a secret.
 *
 * @param as validates the values as that part of a definition; default: the types alone
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
      // the values in the file itself were checked when it was loaded
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

export type ResolvedAuth = Resolved<Auth>;
