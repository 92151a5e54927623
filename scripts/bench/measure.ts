import { cpuUsage } from "node:process";

/** Several measurements; for an even number the median is the mean of the two middle values. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly greatest: number;
  readonly turns: number;
}

export interface Cost {
  readonly seconds: number;
  /** User and system time in seconds. */
  readonly cpu: number;
}

/** The pipeline's cost against that of a baseline. */
interface Comparison {
  /** Wall time in seconds. */
  readonly baseline: Spread;
  readonly ours: Spread;
  /** Ratio of the pipeline's wall time to the baseline's, turn by turn. */
  readonly figure: Spread;
  /** Ratio of the pipeline's CPU time to the baseline's, turn by turn: less affected by other load on the machine. */
  readonly cpuRatio: Spread;
}

/** Runs the work once; `turn` counts from 0. */
export type Contender = (turn: number) => Promise<Cost>;

/** Summarizes measurements; there must be at least one. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const median = (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
  return { median, least: sorted[0]!, greatest: sorted.at(-1)!, turns: sorted.length };
}

/** The value below which the share `share` (0 to 1) of `values` falls. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]!;
}

/** What work in this process costs. */
export async function costOf(work: () => Promise<void>): Promise<Cost> {
  const before = cpuUsage();
  const began = performance.now();
  await work();
  const { user, system } = cpuUsage(before);
  return { seconds: (performance.now() - began) / 1000, cpu: (user + system) / 1e6 };
}

/** Measures `turns` times, one after the other. */
export async function repeated<T>(turns: number, measure: (turn: number) => Promise<T>): Promise<T[]> {
  const found: T[] = [];
  for (let turn = 0; turn < turns; turn++) found.push(await measure(turn));
  return found;
}

/**
 * Measures both in turn, `turns` times. The order alternates, so that neither always profits from the other's caches.
 */
export async function inTurn(turns: number, baseline: Contender, ours: Contender): Promise<Comparison> {
  const costs = await repeated(turns, async (turn) => {
    const first = turn % 2 === 0 ? await baseline(turn) : undefined;
    const mine = await ours(turn);
    return { baseline: first ?? await baseline(turn), ours: mine };
  });
  return {
    baseline: spreadOf(costs.map(({ baseline }) => baseline.seconds)),
    ours: spreadOf(costs.map(({ ours }) => ours.seconds)),
    figure: spreadOf(costs.map(({ baseline, ours }) => ours.seconds / baseline.seconds)),
    cpuRatio: spreadOf(costs.map(({ baseline, ours }) => ours.cpu / baseline.cpu)),
  };
}

/** The share of the variance of `y` that a linear fit over `x` explains: 1 when all points lie on a line. */
export function linearity(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const x = mean(([x]) => x);
  const y = mean(([, y]) => y);
  const xy = mean((point) => (point[0] - x) * (point[1] - y));
  return xy ** 2 / (mean((point) => (point[0] - x) ** 2) * mean((point) => (point[1] - y) ** 2));
}
