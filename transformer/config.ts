/**
 * The transformer's own variables. Those of channel, storage and logs are added by its main.
 *
 * @module
 */
import { path } from "../shared/config/variables.ts";

/** The transformer's own variables. */
export const TransformerVariables = {
  LOOKUP_FILE: path().default("transformer/departments.csv").describe(
    "CSV file with the header department_name,department_code. Default transformer/departments.csv.",
  ),
};
