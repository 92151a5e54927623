/// <reference lib="dom" />
import { effect, signal } from "@preact/signals";
import { inSpanish } from "./complaints.ts";
import { type Key, TEXTS } from "./texts.ts";

type Language = "en" | "es";

/** `auto` follows the system's setting. */
type Theme = "auto" | "light" | "dark";

const root = document.documentElement;

/** The language; the server chose it by cookie or `Accept-Language`. */
export const language = signal<Language>(root.lang === "es" ? "es" : "en");

export const theme = signal<Theme>((root.dataset.theme ?? "auto") as Theme);

effect(() => {
  root.lang = language.value;
  if (theme.value === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme.value;
});

/** Stores a choice in a cookie for a year, so that the server sees it. */
export function remember(name: "lang" | "theme", value: string): void {
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=strict`;
}

export function t(key: Key, values: Readonly<Record<string, string | number>> = {}): string {
  const text = TEXTS[key][language.value === "es" ? 1 : 0];
  return text.replace(/\{(\w+)\}/g, (_all, name: string) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? number(value) : value;
  });
}

export function complaint(text: string): string {
  return language.value === "es" ? inSpanish(text) : text;
}

/** Formats a number; a dash if there is none. */
export function number(value: number | null | undefined, digits = 0): string {
  if (value == null) return "–";
  return new Intl.NumberFormat(language.value, { maximumFractionDigits: digits }).format(value);
}

/** A size, such as `293 kB`. */
export function bytes(value: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;
  const at = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), units.length - 1);
  return new Intl.NumberFormat(language.value, {
    style: "unit",
    unit: units[at]!,
    unitDisplay: at === 0 ? "long" : "short",
    maximumFractionDigits: at === 0 ? 0 : 1,
  }).format(value / 1000 ** at);
}

/** A time span, such as `1.3 s` or `2 min 05 s`. */
export function duration(ms: number | null | undefined): string {
  if (ms == null) return "–";
  if (ms < 1000) return `${number(Math.round(ms))} ms`;
  if (ms < 60_000) return `${number(ms / 1000, 1)} s`;
  const [seconds, minutes] = [Math.floor(ms / 1000) % 60, Math.floor(ms / 60_000)];
  if (minutes < 60) return `${minutes} min ${String(seconds).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** A running time span, in whole seconds. */
export function elapsed(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return seconds < 60 ? `${seconds} s` : duration(seconds * 1000);
}

export function time(iso: string): string {
  return new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "medium" }).format(
    new Date(iso),
  );
}

/** The time of day to the millisecond, for use where the date is clear. */
export function clock(iso: string): string {
  return new Intl.DateTimeFormat(language.value, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: 3,
    hourCycle: "h23",
  }).format(new Date(iso));
}
