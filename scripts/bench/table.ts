import type { Spread } from "./measure.ts";
import type { BenchEnvironment } from "./environment.ts";

/** A row of the benchmark. To add one, write a module in `rows/` and list it in `../bench.ts`. */
export interface Row {
  readonly name: string;
  /** Measures, and yields each figure as soon as it is known. */
  measure(environment: BenchEnvironment): AsyncIterable<Result>;
}

export interface Result {
  /** What was measured, such as `load three files, 300000 rows`. */
  readonly what: string;
  /** Seconds of the baseline tool, and of the pipeline. */
  readonly baseline?: Spread;
  readonly ours?: Spread;
  readonly cpuRatio?: Spread;
  readonly figure: Spread;
  /** `x` is a ratio, pipeline to baseline. */
  readonly unit: "x" | "s" | "ms" | "MB" | "%" | "records/s" | "requests/s" | "R²";
  /** Absent for a figure that is only informative. */
  readonly target?: { readonly atMost: number } | { readonly atLeast: number };
}

const COLUMNS = ["what", "baseline", "ours", "figure (spread)", "CPU", "target", ""];

/** Whether a figure's median reaches its target; undefined without a target. */
export function holds({ figure, target }: Result): boolean | undefined {
  if (target === undefined) return undefined;
  return "atMost" in target ? figure.median <= target.atMost : figure.median >= target.atLeast;
}

/** A Markdown table with a line for each result. */
export function table(results: readonly Result[]): string {
  const rows = [COLUMNS, ...results.map(cells)];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length), 3));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [COLUMNS, widths.map((width) => "-".repeat(width)), ...rows.slice(1)].map(line).join("\n");
}

export function sentence(result: Result): string {
  const [what, baseline, ours, figure, , target, verdict] = cells(result);
  const sides = [baseline, ours].filter((side) => side !== "").join(" / ");
  return [what, sides, figure, target, verdict].filter((cell) => cell !== "").join("  ");
}

function cells(result: Result): string[] {
  const { what, baseline, ours, figure, unit, cpuRatio, target } = result;
  const held = holds(result);
  const { median, least, greatest, turns } = figure;
  const spread = turns === 1 ? "" : ` (${number(least)} to ${number(greatest)})`;
  return [
    what,
    baseline === undefined ? "" : `${number(baseline.median)} s`,
    ours === undefined ? "" : `${number(ours.median)} s`,
    `${unit === "R²" ? `R² ${number(median)}` : `${number(median)} ${unit}`}${spread}`,
    cpuRatio === undefined ? "" : `${number(cpuRatio.median)} x`,
    target === undefined
      ? ""
      : "atMost" in target
      ? `<= ${number(target.atMost)}`
      : `>= ${number(target.atLeast)}`,
    held === undefined ? "" : held ? "holds" : "MISSED",
  ];
}

function number(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString("en");
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(value < 0.1 ? 3 : 2);
}
