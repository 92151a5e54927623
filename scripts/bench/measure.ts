/**
 * Taking turns, and what comes of them.
 *
 * @module
 */
import type { Side } from "./row.ts";

/** Median, least and greatest of some measurements. */
export interface Spread {
  /** The middle one; of an even number the mean of the two in the middle. */
  readonly median: number;
  readonly least: number;
  readonly greatest: number;
  readonly turns: number;
}

export interface Cost {
  readonly seconds: number;
  /** User and system time in seconds. */
  readonly cpu?: number;
}

/** A comparison over several turns. */
export interface Comparison {
  /** What ours is compared with. */
  readonly baseline: Side;
  readonly ours: Side;
  /** Wall time of ours to that of the baseline, turn by turn. */
  readonly ratio: Spread;
  /** CPU time of ours to that of the baseline, where both are known: less shaken by other load on the machine. */
  readonly cpuRatio?: Spread | undefined;
}

/** Something to run in turn. */
export interface Contender {
  /** What it is, in a few words. */
  readonly label: string;
  /** Runs it once. `turn` counts from 0. */
  run(turn: number): Promise<Cost>;
}

/** Sums up measurements, of which there has to be at least one. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const median = (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
  return { median, least: sorted[0]!, greatest: sorted.at(-1)!, turns: sorted.length };
}

/** The value below which the share `share` (0 to 1) of `values` lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]!;
}

/** Runs both in turn, `turns` times; who goes first changes, so that neither always finds what the other left behind. */
export async function inTurn(turns: number, baseline: Contender, ours: Contender): Promise<Comparison> {
  const costs: { baseline: Cost; ours: Cost }[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const first = turn % 2 === 0 ? await baseline.run(turn) : undefined;
    const mine = await ours.run(turn);
    costs.push({ baseline: first ?? await baseline.run(turn), ours: mine });
  }
  const ratios = costs.map(({ baseline, ours }) => ours.seconds / baseline.seconds);
  const cpuRatios = costs.flatMap(({ baseline, ours }) =>
    baseline.cpu === undefined || ours.cpu === undefined ? [] : [ours.cpu / baseline.cpu]
  );
  return {
    baseline: sideOf(baseline.label, costs.map((cost) => cost.baseline)),
    ours: sideOf(ours.label, costs.map((cost) => cost.ours)),
    ratio: spreadOf(ratios),
    ...(cpuRatios.length === turns ? { cpuRatio: spreadOf(cpuRatios) } : {}),
  };
}

/** What several turns of one side took. */
export function sideOf(label: string, costs: readonly Cost[]): Side {
  const cpu = costs.flatMap((cost) => cost.cpu === undefined ? [] : [cost.cpu]);
  return {
    label,
    seconds: spreadOf(costs.map((cost) => cost.seconds)),
    ...(cpu.length === costs.length ? { cpu: spreadOf(cpu) } : {}),
  };
}

/** The costs of several steps, one after the other. */
export function sumOf(costs: readonly Cost[]): Cost {
  return {
    seconds: costs.reduce((sum, cost) => sum + cost.seconds, 0),
    cpu: costs.reduce((sum, cost) => sum + (cost.cpu ?? 0), 0),
  };
}

/** How much of the variance of `y` a straight line over `x` explains: 1 when all points lie on one. */
export function linearity(points: readonly (readonly [x: number, y: number])[]): number {
  const n = points.length;
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / n;
  const x = mean(([x]) => x);
  const y = mean(([, y]) => y);
  const xy = mean((point) => (point[0] - x) * (point[1] - y));
  const xx = mean((point) => (point[0] - x) ** 2);
  const yy = mean((point) => (point[1] - y) ** 2);
  return xy ** 2 / (xx * yy);
}
