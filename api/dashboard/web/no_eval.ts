/**
 * Imported before anything else: zod tries out whether it may make functions of text as soon as a schema is made, and the page's policy
 * reports that as a violation.
 */
import { config } from "zod";

config({ jitless: true });
