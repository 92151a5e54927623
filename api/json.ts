import { Buffer } from "node:buffer";
import { exactJson } from "../shared/pipeline/exact_json.ts";

/** 64-bit integers keep all their digits. */
export function toJson(value: unknown): string {
  try {
    return JSON.stringify(value); // ten times as fast, and throws if there is a bigint
  } catch {
    return JSON.stringify(
      value,
      (_key, inner) => typeof inner === "bigint" ? exactJson.rawJSON(inner.toString()) : inner,
    );
  }
}

/** An answer of JSON text, in one piece or several. It includes its length, so that short answers aren't compressed. */
export function jsonAnswer(
  text: string | Uint8Array<ArrayBuffer> | (string | Uint8Array)[],
  status = 200,
  headers: Record<string, string> = {},
): Response {
  const body = typeof text === "string"
    ? Buffer.from(text)
    : Array.isArray(text)
    ? Buffer.concat(text.map((part) => typeof part === "string" ? Buffer.from(part) : part))
    : text; // avoids a copy of a cached page for each answer
  return new Response(body, {
    status,
    headers: {
      "content-type": "application/json; charset=utf-8",
      "content-length": String(body.byteLength),
      ...headers,
    },
  });
}

/** FastAPI's answer to any error: `{"detail": …}`. */
export function detail(status: number, text: string, headers: Record<string, string> = {}): Response {
  return jsonAnswer(JSON.stringify({ detail: text }), status, headers);
}
