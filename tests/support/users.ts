/**
 * The plan of `pipelines/users.ts`, whose records most tests are about.
 *
 * @module
 */
import users from "../../pipelines/users.ts";
import { type Plan, planOf } from "../../shared/pipeline/plan.ts";

export const usersPlan: Plan = planOf(users);
