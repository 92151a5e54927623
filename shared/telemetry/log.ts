/** Logs: structured, one line each. Secrets and personal fields are redacted, whatever the caller passes. */
import { AsyncLocalStorage } from "node:async_hooks";
import { configure, jsonLinesFormatter, type LogLevel, type LogRecord, type Sink } from "@logtape/logtape";
import { prettyFormatter } from "@logtape/pretty";
import { redactByField } from "@logtape/redaction";

/** Names of properties that are never shown: the pipeline's secrets, and the personal fields of a user record. */
const NEVER_SHOWN = [
  /pass(word|phrase)/i,
  /secret/i,
  /token/i,
  /private.?key/i,
  /^(ssn|ein|iban|wallet|card_?number|card_?expire|mac_?address|email|phone|birth_?date|ip)$/i,
];

interface LogOptions {
  /** Lowest level that is written. */
  level: LogLevel;
  /** `auto`: pretty on a terminal, JSON lines elsewhere. */
  format: "auto" | "pretty" | "json";
  /** Writes a line. Default: standard output. */
  write?: (line: string) => void;
}

/** Starts logging for this process. Call it once, before anything else in a main module. */
export async function startLogging({ level, format, write = writeToStdout }: LogOptions): Promise<void> {
  const pretty = format === "pretty" || (format === "auto" && Deno.stdout.isTerminal());
  const formatter: (record: LogRecord) => string = pretty
    ? (record) => String(prettyFormatter(record))
    : jsonLinesFormatter;
  const sink: Sink = (record) => write(formatter(record));
  await configure({
    reset: true,
    contextLocalStorage: new AsyncLocalStorage(),
    sinks: { out: redactByField(sink, { fieldPatterns: NEVER_SHOWN, action: () => "***" }) },
    loggers: [
      { category: ["etl"], sinks: ["out"], lowestLevel: level },
      { category: ["logtape", "meta"], sinks: ["out"], lowestLevel: "error" },
    ],
  });
}

const encoder = new TextEncoder();

function writeToStdout(line: string): void {
  const bytes = encoder.encode(line.endsWith("\n") ? line : `${line}\n`);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    // the reader has closed the pipe; the work must still end in order
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
