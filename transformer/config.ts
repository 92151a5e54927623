import {
  ActorVariables,
  ChannelVariables,
  FilesVariables,
  LogVariables,
  path,
  PipelineVariables,
} from "../shared/config/variables.ts";

export const TransformerVariables = {
  LOOKUP_FILE: path().optional().describe(
    "The lookup file of pipelines whose definition names this variable, as users does. Unset: the file that the definition names.",
  ),
  ...PipelineVariables,
  ...ActorVariables,
  ...ChannelVariables,
  ...FilesVariables,
  ...LogVariables,
};
