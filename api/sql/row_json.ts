import type { Cell } from "../../shared/store/rows.ts";

/** A row as a JSON object; of two columns with the same name the later one counts. */
export function rowJson(columns: readonly string[], values: readonly Cell[]): string {
  const row = new Map(columns.map((name, at) => [name, valueJson(values[at]!)]));
  return `{${[...row].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

function valueJson(value: Cell): string {
  if (typeof value === "boolean") return value ? "1" : "0"; // the contract allows only texts and numbers
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) {
    return JSON.stringify(Array.from(value, (b) => b.toString(16).padStart(2, "0")).join(""));
  }
  return JSON.stringify(typeof value === "number" && !Number.isFinite(value) ? String(value) : value);
}
