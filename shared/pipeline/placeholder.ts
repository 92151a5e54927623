import type { Placeholder } from "./mod.ts";

export interface Placed {
  readonly path: readonly PropertyKey[];
  readonly placeholder: Placeholder;
}

export function isPlaceholder(value: unknown): value is Placeholder {
  if (typeof value !== "object" || value === null) return false;
  const { env, fallback, secret } = value as Record<string, unknown>;
  const keys = Object.keys(value).length;
  return keys === 2 && typeof env === "string" && ["string", "number"].includes(typeof fallback) ||
    keys === 1 && typeof secret === "string";
}

/** A copy of the data, with placeholders replaced by `replace`. Schemas are kept as they are. */
export function replaced(
  value: unknown,
  replace: (placed: Placed) => unknown,
  path: readonly PropertyKey[] = [],
): unknown {
  if (isPlaceholder(value)) return replace({ path, placeholder: value });
  if (Array.isArray(value)) return value.map((item, at) => replaced(item, replace, [...path, at]));
  if (typeof value !== "object" || value === null || "_zod" in value) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, replaced(inner, replace, [...path, key])]),
  );
}

export function variableOf(placeholder: Placeholder): string {
  return "env" in placeholder ? placeholder.env : placeholder.secret;
}

/** The variables that a definition, or a part of one, names, without duplicates. */
export function variablesOf(part: unknown): string[] {
  const names = new Set<string>();
  replaced(part, ({ placeholder }) => names.add(variableOf(placeholder)));
  return [...names];
}
