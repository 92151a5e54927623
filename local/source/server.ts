/** A real HTTP server of generated users and products that answers as DummyJSON does. */
import { productJson } from "./products.ts";
import { Users } from "./users.ts";

/** The lists of the sample source, by the variable that sets their address for a pipeline. */
export const SAMPLE_LISTS: Readonly<Record<string, string>> = {
  API_BASE_URL: "users",
  PRODUCTS_URL: "products",
};

export const MOST_USERS = 100_000_000;

const PRODUCTS = 194;

export type Handler = (request: Request) => Response | Promise<Response>;

export interface SourceOptions {
  /** Number of users. Default 208. */
  readonly users?: number;
  /** Share of users, 0 to 1, that break a rule. Default 0. */
  readonly bad?: number;
  /** Milliseconds before each answer. Default 0. */
  readonly delayMs?: number;
  /** Port to listen on; 0 takes a free one. Default 0. */
  readonly port?: number;
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  /** Wraps the answers, to inject faults. */
  readonly wrap?: (answer: Handler) => Handler;
}

export interface RunningSource extends AsyncDisposable {
  /** Address of its users, such as `http://127.0.0.1:4711/users`. */
  readonly url: string;
  readonly users: number;
  /** Stops listening; answers in progress are aborted. */
  close(): Promise<void>;
  readonly finished: Promise<void>;
}

export function startSource(options: SourceOptions = {}): Promise<RunningSource> {
  const { users = 208, delayMs = 0, port = 0, host = "127.0.0.1", wrap = (answer) => answer } = options;
  const answer = wrap(sampleSource(options));
  const stop = new AbortController();
  const { promise, resolve } = Promise.withResolvers<RunningSource>();
  const server = Deno.serve({
    port,
    hostname: host,
    signal: stop.signal,
    onError: () => new Response(null, { status: 500 }),
    onListen: ({ port }) => {
      const close = async () => {
        stop.abort();
        await server.finished;
      };
      // the server's name isn't bound yet while this is called
      queueMicrotask(() =>
        resolve({
          url: `http://${host}:${port}/users`,
          users,
          close,
          finished: server.finished,
          [Symbol.asyncDispose]: close,
        })
      );
    },
  }, async (request) => {
    if (delayMs > 0) await new Promise((done) => setTimeout(done, delayMs));
    return await answer(request);
  });
  return promise;
}

/** The answers of the sample source, without a server: `/users?limit=30&skip=0`, `/products?…`; `limit=0` means all. */
export function sampleSource({ users = 208, bad = 0 }: SourceOptions): Handler {
  const all = new Users(bad, 1);
  return (request) => {
    const { pathname, searchParams } = new URL(request.url);
    const list = pathname.slice(1);
    if (!Object.values(SAMPLE_LISTS).includes(list)) return problem(404, `Path '${pathname}' not found`);
    if (request.method !== "GET") return problem(405, "Only GET is answered");
    const limit = wholeNumber(searchParams, "limit", 30);
    const skip = wholeNumber(searchParams, "skip", 0);
    if (limit === undefined) return problem(400, "Invalid 'limit' - must be a number");
    if (skip === undefined) return problem(400, "Invalid 'skip' - must be a number");
    const total = list === "users" ? users : PRODUCTS;
    const end = Math.min(total, limit === 0 ? total : skip + limit);
    const page: string[] = [];
    for (let index = skip; index < end; index++) {
      page.push(list === "users" ? all.json(index) : productJson(index, bad));
    }
    const body = `{"${list}":[${page.join(",")}],"total":${total},"skip":${skip},"limit":${page.length}}`;
    return new Response(body, { headers: { "content-type": "application/json; charset=utf-8" } });
  };
}

function wholeNumber(parameters: URLSearchParams, name: string, otherwise: number): number | undefined {
  const text = parameters.get(name);
  if (text === null) return otherwise;
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function problem(status: number, message: string): Response {
  return Response.json({ message }, { status });
}
