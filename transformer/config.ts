/**
 * The transformer's own variables. Those of channel, storage and logs are added by its main.
 *
 * @module
 */
import {
  ActorVariables,
  ChannelVariables,
  LogVariables,
  path,
  StorageVariables,
} from "../shared/config/variables.ts";

/** Every variable that the transformer reads. */
export const TransformerVariables = {
  LOOKUP_FILE: path().optional().describe(
    "CSV file with the header department_name,department_code. Unset: pipelines/departments.csv of this program.",
  ),
  ...ActorVariables,
  ...ChannelVariables,
  DATA_DIR: StorageVariables.DATA_DIR,
  ...LogVariables,
};
