/**
 * The plan of `pipelines/users.ts`, which most tests use.
 *
 * @module
 */
import users from "../../pipelines/users.ts";
import { type Plan, planOf } from "../../shared/pipeline/plan.ts";

export const usersPlan: Plan = planOf(users);
