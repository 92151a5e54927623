/**
 * Traces: one trace per run across all services, carried in the messages as a W3C `traceparent`. Without `OTEL_DENO`
 * these functions have no effect.
 */
import { context, propagation, type Span, SpanStatusCode, trace } from "@opentelemetry/api";
import { messageOf } from "../errors/errors.ts";

/**
 * Runs `work` inside a span that continues `traceparent` (or the active span). The span ends with the work, and records
 * its failure.
 */
export function inSpan<T>(
  name: string,
  options: { traceparent?: string | undefined; attributes?: Record<string, string | number> },
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const parent = options.traceparent === undefined
    ? context.active()
    : propagation.extract(context.active(), { traceparent: options.traceparent });
  return trace.getTracer("etl").startActiveSpan(
    name,
    { attributes: options.attributes ?? {} },
    parent,
    async (span) => {
      try {
        return await work(span);
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
        throw error;
      } finally {
        span.end();
      }
    },
  );
}

/** The `traceparent` of the active span, for an outgoing message; undefined when nothing is traced. */
export function currentTraceparent(): string | undefined {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}
