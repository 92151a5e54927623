/** Configuration: one zod shape for each service, read from environment variables, with every problem reported at once. */
import { z } from "zod";
import { ConfigError } from "../errors/errors.ts";

/** A service's variables: name -> zod type. Values arrive as strings; `describe()` says meaning, unit and default. */
export type Variables = Record<string, z.ZodType>;

/** What `loadConfig` returns for the variables `V`. */
export type ConfigOf<V extends Variables> = { [K in keyof V]: z.output<V[K]> };

/**
 * Names whose values never appear in a message or a log line. Addresses may hold passwords, and a secret key may have
 * been set as age recipient by mistake.
 */
const SECRET = /PASS|SECRET|TOKEN|REDIS_URL|DATABASE_URL|NOTIFY_URL|S3_ENDPOINT|ENCRYPT_TO/;

/**
 * Reads `variables` from `env`. An empty value counts as unset.
 *
 * @throws ConfigError with every unusable variable: its name, its value (except a secret's) and what was wanted.
 */
export function loadConfig<V extends Variables>(
  service: string,
  variables: V,
  env: Record<string, string | undefined>,
): ConfigOf<V> {
  const problems: string[] = [];
  const config: Record<string, unknown> = {};
  for (const [name, type] of Object.entries(variables)) {
    const value = env[name] === "" ? undefined : env[name];
    const read = type.safeParse(value);
    if (read.success) config[name] = read.data;
    else {
      const shown = value === undefined ? "unset" : SECRET.test(name) ? "(hidden)" : JSON.stringify(value);
      const wanted = new Set(read.error.issues.map((issue) => issue.message)); // several rules may say the same
      problems.push(`${name} is ${shown}: ${[...wanted].join(", ")}`);
    }
  }
  if (problems.length > 0) throw new ConfigError(service, problems);
  return config as ConfigOf<V>;
}

/** The variables of this process's environment that are named in `variables`. */
export function environment(variables: Variables): Record<string, string | undefined> {
  return Object.fromEntries(Object.keys(variables).map((name) => [name, Deno.env.get(name)]));
}

/** The value of a variable that a definition names. */
export function variable(name: string): string | undefined {
  return Deno.env.get(name);
}

/**
 * Names in `env` that look like a misspelling of one in `known`: one or two letters differ, or two are swapped. Returns
 * pairs of the name found and the name that was probably meant.
 */
export function misspelt(env: Iterable<string>, known: readonly string[]): [found: string, meant: string][] {
  const names = new Set(known);
  return [...env].filter((name) => !names.has(name) && name.length > 5).flatMap((name) => {
    const meant = known.find((candidate) =>
      Math.abs(candidate.length - name.length) <= 2 && distance(name, candidate) <= 2
    );
    return meant === undefined ? [] : [[name, meant] as [string, string]];
  });
}

/**
 * The optimal string alignment distance: insertions, deletions, substitutions, and swaps of neighbouring characters.
 */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, beforeLast[j - 2]! + 1);
      }
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
