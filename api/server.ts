import { serve } from "@hono/node-server";
import { once } from "node:events";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { PermanentError } from "../shared/errors/errors.ts";
import type { App } from "./app.ts";

interface Patience {
  /** Milliseconds for a client to send a request's head. Default 10,000. */
  readonly headMs?: number;
  /** Milliseconds for a client to send the whole request. Default 30,000. */
  readonly requestMs?: number;
  /** Milliseconds until the next request on a connection. Default 5,000. */
  readonly idleMs?: number;
  /** Milliseconds for a client to receive any part of an answer. Default 60,000. */
  readonly stalledMs?: number;
  /** How often these limits are checked, in milliseconds. Default 1,000. */
  readonly checkMs?: number;
}

export interface Listening {
  readonly port: number;
  /** Stops listening, ends subscriptions, lets answers in progress end within `graceMs`, then closes the rest. */
  close(graceMs?: number): Promise<void>;
}

/** @throws PermanentError when the address can't be used. */
export async function listen(
  app: App,
  at: { hostname: string; port: number },
  patience: Patience = {},
): Promise<Listening> {
  const { headMs = 10_000, requestMs = 30_000, idleMs = 5_000, stalledMs = 60_000, checkMs = 1_000 } =
    patience;
  const known = new WeakSet<object>();
  const server = serve({
    ...at,
    fetch: async (request, { incoming }) => {
      const { socket } = incoming as IncomingMessage;
      if (!known.has(socket)) socket.on("timeout", () => socket.destroy());
      known.add(socket);
      socket.setTimeout(0); // computing an answer may take long, reading it may not
      try {
        return await app.fetch(request, { remoteAddress: socket.remoteAddress });
      } finally {
        socket.setTimeout(stalledMs);
      }
    },
    overrideGlobalObjects: false,
    serverOptions: {
      headersTimeout: headMs,
      requestTimeout: requestMs,
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: checkMs,
      maxHeaderSize: 16_384,
    },
  }) as Server;
  await Promise.race([
    once(server, "listening"),
    once(server, "error").then(([error]) => {
      throw new PermanentError(
        `Cannot listen on ${at.hostname}:${at.port}: ${error instanceof Error ? error.message : error}. ` +
          "Correct API_HOST and API_PORT, or stop the program that listens there, and start again.",
        { cause: error },
      );
    }),
  ]);
  return {
    port: (server.address() as AddressInfo).port,
    async close(graceMs = 10_000) {
      const closed = once(server, "close");
      server.close();
      server.closeIdleConnections();
      app.close();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}
