/// <reference lib="dom" />
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { RunLine } from "../../../client/operations.ts";
import { language, t, theme } from "../i18n.ts";
import { Panel } from "../ui.tsx";
import { speedOf } from "./run_table.tsx";

const HEIGHT = 220;

/** Oldest run first. */
export function RunChart({ runs }: { runs: readonly RunLine[] }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const loaded = runs.filter(({ validCount }) => validCount !== null).toReversed();
  const key = JSON.stringify([loaded, language.value, theme.value]);
  useEffect(() => {
    const box = place.current;
    if (box === null) return;
    let plot = draw(box, loaded);
    const resized = new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: HEIGHT }));
    resized.observe(box);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => {
      plot.destroy();
      plot = draw(box, loaded);
    };
    dark.addEventListener("change", redraw);
    return () => {
      dark.removeEventListener("change", redraw);
      resized.disconnect();
      plot.destroy();
    };
  }, [key]);
  const legend = (
    <ul class="legend">
      <li>{t("valid")}</li>
      <li class="invalid">{t("invalid")}</li>
      <li class="speed">{t("speed")}</li>
    </ul>
  );
  return (
    <Panel title={t("chart")} aside={legend}>
      <div ref={place} class="chart" role="img" aria-label={t("chartText")} />
    </Panel>
  );
}

function draw(box: HTMLElement, runs: readonly RunLine[]): uPlot {
  const style = getComputedStyle(box);
  // canvases don't support light-dark(): the computed colour is read from an element with that style
  const worn = (name: string) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    box.append(probe);
    const made = getComputedStyle(probe).color;
    probe.remove();
    return made;
  };
  const [good, bad, line, ink, rule] = ["--bar-good", "--bar-bad", "--accent", "--quiet", "--rule"].map(worn);
  const valid = runs.map(({ validCount }) => validCount ?? 0);
  const all = runs.map(({ validCount, invalidCount }) => (validCount ?? 0) + (invalidCount ?? 0));
  const bars = uPlot.paths.bars!({ size: [0.7, 42], radius: 0.15 });
  const axis = { stroke: ink!, font: `12px ${style.fontFamily}`, ticks: { show: false } };
  const short = (values: number[]) =>
    values.map((value) => new Intl.NumberFormat(language.value, { notation: "compact" }).format(value));
  return new uPlot(
    {
      width: box.clientWidth,
      height: HEIGHT,
      cursor: { show: false },
      legend: { show: false },
      padding: [8, 4, 0, 4],
      scales: {
        x: { time: false, range: [-0.6, Math.max(runs.length, 8) - 0.4] },
        y: { range: (_plot, _min, max) => [0, Math.max(1, max) * 1.08] },
        speed: { range: (_plot, _min, max) => [0, Math.max(1, max) * 1.2] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 26,
          incrs: [1, 2, 5, 10],
          values: (_plot, places) => places.map((at) => runs[at]?.id ?? ""),
        },
        { ...axis, grid: { stroke: rule!, width: 1 }, size: 48, values: (_plot, values) => short(values) },
        {
          ...axis,
          scale: "speed",
          side: 1,
          grid: { show: false },
          size: 48,
          values: (_plot, values) => short(values),
        },
      ],
      series: [
        {},
        { paths: bars, fill: bad!, width: 0, points: { show: false } },
        { paths: bars, fill: good!, width: 0, points: { show: false } },
        { scale: "speed", stroke: line!, width: 2, points: { size: 6, fill: line! } },
      ],
    },
    [runs.map((_run, at) => at), all, valid, runs.map(speedOf)],
    box,
  );
}
