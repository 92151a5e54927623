/**
 * The list of all faults.
 *
 * @module
 */
import type { DrillCase } from "./case.ts";
import { cases as channel } from "./channel.ts";
import { cases as deliver } from "./deliver.ts";
import { cases as extract } from "./extract.ts";
import { cases as failover } from "./failover.ts";
import { cases as load } from "./load.ts";
import { cases as system } from "./system.ts";

/** All cases, in the order in which records pass the phases. */
export const CASES: readonly DrillCase[] = [
  ...extract,
  ...channel,
  ...failover,
  ...load,
  ...deliver,
  ...system,
];
