/**
 * Every row of the benchmark, in the order in which they run.
 *
 * @module
 */
import type { Row } from "./row.ts";
import { api } from "./rows/api.ts";
import { deliver } from "./rows/deliver.ts";
import { endToEnd } from "./rows/end_to_end.ts";
import { extract } from "./rows/extract.ts";
import { extractConcurrency } from "./rows/extract_concurrency.ts";
import { growth } from "./rows/growth.ts";
import { idle } from "./rows/idle.ts";
import { load } from "./rows/load.ts";
import { queue } from "./rows/queue.ts";
import { transform } from "./rows/transform.ts";

/** To add one: a module in `rows/`, and its name here. */
export const ROWS: readonly Row[] = [
  extract,
  extractConcurrency,
  transform,
  load,
  deliver,
  endToEnd,
  queue,
  idle,
  growth,
  api,
];
