import type { z } from "zod";
import { SERVICES, VARIABLES } from "../../cli/services.ts";

/**
 * The text of `.env.example`: each variable once, with its meaning and the services that read it, commented out, so
 * that defaults apply.
 */
export function envExample(): string {
  const readers = new Map<string, { type: z.ZodType; services: string[] }>();
  for (const service of SERVICES) {
    for (const [name, type] of Object.entries<z.ZodType>(VARIABLES[service])) {
      const known = readers.get(name) ?? { type, services: [] };
      known.services.push(service);
      readers.set(name, known);
    }
  }
  const entries = [...readers].map(([name, { type, services }]) => {
    const whom = services.length === SERVICES.length ? "all" : services.join(", ");
    return `# ${type.description}\n# Read by: ${whom}.\n#${name}=${defaultOf(type)}\n`;
  });
  return [
    "# Configuration. Copy this file to .env and remove the # before what you want to change; all of it is optional.\n" +
    "# Variables of the process take precedence over this file. This file is made from the services' schemas: deno task generate.\n",
    ...entries,
    "# OpenTelemetry: the standard's own variables, such as OTEL_DENO=true and OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318.\n",
  ].join("\n");
}

function defaultOf(type: z.ZodType): string {
  const stated = /Default:? ([^ ]+?)( \(.*\))?\.$/.exec(type.description ?? "")?.[1];
  const read = type.safeParse(undefined);
  if (!read.success || read.data === undefined) return "";
  return Array.isArray(read.data)
    ? read.data.join(",")
    : stated !== undefined && type.safeParse(stated).success
    ? stated
    : String(read.data);
}
