/**
 * Receivers of notifications: real HTTP servers that check signatures with the reference library, and that
 * can misbehave.
 *
 * @module
 */
import { Webhook } from "standardwebhooks";
import type { Notification } from "../../shared/contracts/notifications.ts";

export const SECRET = `whsec_${btoa("a key for tests, 24 bytes and more")}`;

/** A notification with a valid signature. */
export interface Received {
  readonly id: string;
  readonly body: Notification;
  readonly text: string;
  readonly headers: Record<string, string>;
}

/** A receiver on this machine. Disposing of it ends it and all its connections. */
export interface TestReceiver extends AsyncDisposable {
  /** The address. Path and query are secrets that must not appear in logs. */
  readonly url: string;
  readonly host: string;
  /** All requests, including those that it rejected. */
  readonly received: Received[];
  /** The errors found in requests. */
  readonly complaints: string[];
  /** Returns the response to a request; `times` counts the requests from 1. Can be replaced. */
  answer: (times: number) => Response | Promise<Response>;
  /** Resolves once `count` requests have arrived. */
  times(count: number): Promise<void>;
}

/** A text that no log, error or response of the API may contain. */
export const HIDDEN_PATH = "T0SECRETPATH";
export const HIDDEN_QUERY = "hidden-query-value";

export function startReceiver(
  answer: TestReceiver["answer"] = () => new Response(null, { status: 204 }),
  { port = 0 }: { port?: number } = {},
): TestReceiver {
  const received: Received[] = [];
  const complaints: string[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  const stop = new AbortController();
  let requests = 0;
  const server = Deno.serve(
    {
      hostname: "127.0.0.1",
      port,
      signal: stop.signal,
      onListen: () => {},
      onError: () => new Response(null),
    },
    async (request) => {
      const text = await request.text();
      const headers = Object.fromEntries(request.headers);
      try {
        const body = new Webhook(SECRET).verify(text, headers) as Notification;
        received.push({ id: headers["webhook-id"]!, body, text, headers });
      } catch (error) {
        complaints.push(String(error));
      }
      requests += 1;
      for (const { count, resolve } of waiting) if (requests >= count) resolve();
      return await receiver.answer(requests);
    },
  );
  const host = `127.0.0.1:${server.addr.port}`;
  const receiver: TestReceiver = {
    url: `http://${host}/services/${HIDDEN_PATH}?key=${HIDDEN_QUERY}`,
    host,
    received,
    complaints,
    answer,
    times: (count) =>
      new Promise((resolve) => requests >= count ? resolve() : waiting.push({ count, resolve })),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await server.finished;
    },
  };
  return receiver;
}

/**
 * Starts a server that speaks only as much HTTP as `talk` does. Accepts each connection; disposing of it
 * closes all.
 */
export function startTalker(
  talk: (connection: Deno.Conn) => Promise<void>,
): AsyncDisposable & { readonly url: string; readonly connections: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  const talks: Promise<void>[] = [];
  let connections = 0;
  const accepting = (async () => {
    for await (const connection of listener) {
      connections += 1;
      open.add(connection);
      talks.push(
        talk(connection).catch(() => {}).finally(() => {
          if (open.delete(connection)) close(connection);
        }),
      );
    }
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}/services/${HIDDEN_PATH}?key=${HIDDEN_QUERY}`,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const connection of open) {
        open.delete(connection);
        close(connection);
      }
      await Promise.all(talks);
    },
  };
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // the other side has closed it
  }
}
