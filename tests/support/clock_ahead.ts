/**
 * Sets a process's clock ahead by an hour, or by `?hours=`. For `deno run --preload`.
 *
 * @module
 */
const RealDate = Date;
const AHEAD_MS = 3_600_000 * Number(new URL(import.meta.url).searchParams.get("hours") ?? 1);

globalThis.Date = new Proxy(RealDate, {
  construct: (date, args) =>
    args.length === 0 ? new date(date.now() + AHEAD_MS) : Reflect.construct(date, args),
  get: (date, key) => key === "now" ? () => date.now() + AHEAD_MS : Reflect.get(date, key),
});
