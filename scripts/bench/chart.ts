/**
 * Results as a picture: how much of what its target allows each figure takes.
 *
 * @module
 */
import { holds, type Result } from "./row.ts";
import { figureText, targetText } from "./table.ts";

const WIDTH = 1020;
const LABEL = 440;
const BAR = 330;
const LINE = 24;
const HEAD = 74;

/** An SVG of those results that have a target. A bar that ends before the line holds; it is readable on light and dark pages. */
export function chart(results: readonly Result[], machine: Record<string, string | number>): string {
  const rows = results.filter(({ target }) => target !== undefined);
  const height = HEAD + rows.length * LINE + 16;
  const limit = LABEL + BAR / 2;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Benchmark: each figure against its target" font-family="system-ui, sans-serif" font-size="13">
<style>
text { fill: #24292f } .quiet { fill: #57606a } .holds { fill: #2da44e } .missed { fill: #cf222e } .track { fill: #8c959f; fill-opacity: .15 } .limit { stroke: #57606a; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .quiet { fill: #8b949e } .holds { fill: #3fb950 } .missed { fill: #f85149 } .limit { stroke: #8b949e } }
</style>
<text x="16" y="26" font-size="16" font-weight="600">How much of its target each figure takes (shorter is better)</text>
<text x="16" y="46" class="quiet">${
    escape(
      `${machine.cores} cores (load ${machine.load}), ${machine.processor}, Deno ${machine.deno}, ${
        String(machine.at).slice(0, 10)
      }`,
    )
  }</text>
<text x="${limit}" y="66" class="quiet" text-anchor="middle">target</text>
<line x1="${limit}" x2="${limit}" y1="${HEAD}" y2="${height - 12}" class="limit"/>
${rows.map(bar).join("\n")}
</svg>
`;
}

function bar(result: Result, index: number): string {
  const y = HEAD + index * LINE;
  const width = Math.max(2, Math.min(share(result), 2) * BAR / 2);
  const value = `${figureText(result.figure.median, result.unit)}  (${targetText(result)})`;
  return `<text x="${LABEL - 10}" y="${y + 16}" text-anchor="end">${escape(result.what)}</text>` +
    `<rect x="${LABEL}" y="${y + 4}" width="${BAR}" height="16" rx="3" class="track"/>` +
    `<rect x="${LABEL}" y="${y + 4}" width="${width.toFixed(1)}" height="16" rx="3" class="${
      holds(result) ? "holds" : "missed"
    }"/>` +
    `<text x="${LABEL + BAR + 12}" y="${y + 16}" class="quiet">${escape(value)}</text>`;
}

/** 1 is at the target, less is better. */
function share({ figure, target }: Result): number {
  if (target === undefined) return 0;
  return "atMost" in target ? figure.median / target.atMost : target.atLeast / figure.median;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
