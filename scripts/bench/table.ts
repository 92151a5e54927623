/**
 * Results for people who read a terminal.
 *
 * @module
 */
import type { Spread } from "./measure.ts";
import { holds, type Result, type Side } from "./row.ts";

const COLUMNS = ["what", "baseline", "ours", "figure (spread)", "CPU", "target", ""];

/** A table with a line for each result, as Markdown, so that it can be pasted. */
export function table(results: readonly Result[]): string {
  const rows = [COLUMNS, ...results.map(cells)];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length), 3));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const [head, ...body] = rows;
  return [line(head!), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}

/** One result in one line. */
export function sentence(result: Result): string {
  const [what, baseline, ours, figure, , target, verdict] = cells(result);
  const sides = [baseline, ours].filter((side) => side !== "").join(" / ");
  return [what, sides, figure, target, verdict].filter((cell) => cell !== "").join("  ");
}

/** A figure with its unit, such as `0.83 x`. */
export function figureText(value: number, unit: Result["unit"]): string {
  return unit === "R²" ? `R² ${number(value)}` : `${number(value)} ${unit}`;
}

/** The target, such as `<= 1.5`; empty where there is none. */
export function targetText({ target }: Result): string {
  if (target === undefined) return "";
  return "atMost" in target ? `<= ${number(target.atMost)}` : `>= ${number(target.atLeast)}`;
}

function cells(result: Result): string[] {
  const { what, baseline, ours, figure, unit, cpuRatio } = result;
  const held = holds(result);
  return [
    what,
    sideText(baseline),
    sideText(ours),
    `${figureText(figure.median, unit)}${spreadText(figure)}`,
    cpuRatio === undefined ? "" : `${number(cpuRatio.median)} x`,
    targetText(result),
    held === undefined ? "" : held ? "holds" : "MISSED",
  ];
}

function sideText(side: Side | undefined): string {
  return side === undefined ? "" : `${number(side.seconds.median)} s`;
}

function spreadText({ least, greatest, turns }: Spread): string {
  return turns === 1 ? "" : ` (${number(least)} to ${number(greatest)})`;
}

function number(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString("en");
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(value < 0.1 ? 3 : 2);
}
