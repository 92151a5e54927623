/**
 * Which rules a file was judged by.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { RULES } from "./rules.ts";

/**
 * Identifies the rules: SHA-256 of their description as JSON, lower-case hexadecimal. The schema is built from the same bounds and patterns,
 * so it changes whenever a rule does.
 */
export const RULES_SHA256: string = createHash("sha256").update(JSON.stringify(RULES)).digest("hex");
