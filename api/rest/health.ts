import { z } from "@hono/zod-openapi";
import type { ApiApp } from "../http/env.ts";
import { jsonAnswer } from "../json.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { ApiPorts } from "../ports.ts";
import { messageOf } from "../../shared/errors/errors.ts";
import { addRoute, json } from "./route.ts";

const Ready = z.object({ status: z.enum(["ready", "not ready"]), database: z.string(), channel: z.string() })
  .openapi("Readiness");

export function addHealth(app: ApiApp, ports: ApiPorts, metrics: Metrics): void {
  addRoute(app, {
    method: "get",
    path: "/healthz",
    summary: "Whether the process is alive",
    inputs: {},
    responses: { 200: json("It is", z.object({ status: z.literal("ok") })) },
  }, () => jsonAnswer('{"status":"ok"}'));

  addRoute(app, {
    method: "get",
    path: "/readyz",
    summary: "Whether database and channel can be reached",
    inputs: {},
    responses: { 200: json("They can", Ready), 503: json("What can't, and why", Ready) },
  }, async () => {
    const [database, channel] = await Promise.all([
      stateOf(() => pingStore(ports)),
      stateOf(() => ports.channel.ping()),
    ]);
    const ready = database === "ok" && channel === "ok";
    return jsonAnswer(
      JSON.stringify({ status: ready ? "ready" : "not ready", database, channel }),
      ready ? 200 : 503,
    );
  });

  app.get(
    "/metrics",
    async (c) => c.body(await metrics.text(), 200, { "content-type": metrics.contentType }),
  );
}

async function stateOf(ping: () => Promise<unknown>): Promise<string> {
  try {
    await ping();
    return "ok";
  } catch (error) {
    return messageOf(error);
  }
}

async function pingStore({ store }: ApiPorts): Promise<void> {
  const open = await store();
  if (open === undefined) {
    throw new Error("The database hasn't been created yet. Start the saver, which makes it.");
  }
  await open.ping();
}
