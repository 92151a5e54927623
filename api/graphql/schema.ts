import type { GraphQLSchema } from "graphql";
import { builder } from "./builder.ts";
import "./run_queries.ts";
import "./pipeline.ts";
import "./record.ts";
import "./current.ts";
import "./change.ts";
import "./history.ts";
import "./actor.ts";
import "./dead_letter.ts";
import "./notification.ts";
import "./subscriptions.ts";
import "./mutations/start_run.ts";
import "./mutations/steer_run.ts";
import "./mutations/decide_run.ts";
import "./mutations/replay_invalid_records.ts";
import "./mutations/steer_letter.ts";
import "./mutations/steer_actor.ts";
import "./mutations/send_test_notification.ts";

builder.queryType({ description: "Read access." });
builder.mutationType({
  description: "Write access. Every answer is the outcome, or why nothing was done.",
});

export const schema: GraphQLSchema = builder.toSchema();
