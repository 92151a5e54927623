/**
 * The plan of `users`, for those that know no other pipeline yet: the dry run, the forms, the views. It runs in browsers too.
 *
 * @module
 */
import users from "../../pipelines/users.ts";
import { type Plan, planOf } from "./plan.ts";

/** The plan of `pipelines/users.ts`. */
export const usersPlan: Plan = planOf(users);
