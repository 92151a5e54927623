/** The environment of the pipeline: this process's variables override those of the file `.env`. */
import { parseEnv } from "node:util";
import { misspelt } from "../shared/config/config.ts";
import type { Environment } from "./services.ts";

/**
 * Variables of the process, then those of the file `path` that the process doesn't set. A missing file is not an error.
 * `NODE_ENV` is `production` unless it is set: with any other value, libraries of the API check their callers at each
 * step.
 *
 * @throws Error when the file exists but can't be read.
 */
export async function readEnvironment(path = ".env"): Promise<Environment> {
  const own = { NODE_ENV: "production", ...Deno.env.toObject() };
  try {
    return { ...own, ...parseEnv(await Deno.readTextFile(path)), ...Deno.env.toObject() };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return own;
    throw error;
  }
}

/** A warning for each variable of `env` whose name looks like a misspelling of a known one. */
export function misspellings(env: Environment, known: readonly string[]): string[] {
  return misspelt(Object.keys(env), known).map(([found, meant]) =>
    `No service reads the variable ${found}. Did you mean ${meant}?`
  );
}
