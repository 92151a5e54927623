import { EnvelopArmor } from "@escape.tech/graphql-armor";
import { execute, getOperationAST, GraphQLError } from "graphql";
import { createYoga, type Plugin } from "graphql-yoga";
import { messageOf, TransientError } from "../../shared/errors/errors.ts";
import { parsedExactly } from "../../shared/pipeline/exact_json.ts";
import type { ApiApp } from "../http/env.ts";
import { wantsPage } from "../http/guard.ts";
import { detail } from "../json.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { ApiPorts } from "../ports.ts";
import { UntilCommit } from "../until_commit.ts";
import { type AppContext, type Asker, type Context, makeContext } from "./context.ts";
import { graphiqlPage } from "./graphiql.ts";
import { costLimited } from "./limits.ts";
import { Live } from "./live.ts";
import { schema } from "./schema.ts";

/** Returns a function that ends subscriptions and waits for runs. */
export function addGraphql(app: ApiApp, ports: ApiPorts, metrics: Metrics): () => void {
  const closing = new AbortController();
  const context: AppContext = {
    ports,
    metrics,
    live: new Live(ports.channel, (subscription, open) => metrics.subscriptions.set({ subscription }, open)),
    lists: new UntilCommit(20),
    closing: closing.signal,
  };
  const armor = new EnvelopArmor({
    maxDepth: { n: 14 },
    maxAliases: { n: 15 },
    maxDirectives: { n: 30 },
    maxTokens: { n: 2000 },
    costLimit: { enabled: false }, // it ignores the length of lists
    blockFieldSuggestion: { enabled: false }, // the schema isn't secret
  });
  const yoga = createYoga<Asker, Context>({
    schema,
    context: ({ who, from, signal }) => makeContext(context, { who, from, signal }),
    graphqlEndpoint: "/graphql",
    graphiql: false,
    landingPage: false,
    batching: false,
    multipart: false,
    cors: false,
    logging: false,
    maskedErrors: { maskError: (error) => shown(error, ports) },
    plugins: [PARAMETERS_READ, ...armor.protect().plugins as Plugin[], costLimited(), measured(metrics)],
  });

  app.on(["GET", "POST"], "/graphql", async (c) => {
    const { raw } = c.req;
    if (wantsPage(raw) && !new URL(raw.url).searchParams.has("query")) return await graphiqlPage(raw);
    // pages of other sites can send forms without a preflight
    const type = raw.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
    if (raw.method === "POST" && type !== "application/json") {
      return detail(415, "Unsupported Media Type. Send the operation as application/json.");
    }
    return await yoga.fetch(raw, { who: c.get("who"), from: c.env.remoteAddress, signal: raw.signal });
  });

  return () => {
    closing.abort();
    context.live.close();
  };
}

/** Refuses a GET whose parameters aren't JSON; yoga would throw. */
const PARAMETERS_READ: Plugin = {
  onRequestParse({ request, url }) {
    if (request.method !== "GET") return;
    for (const name of ["variables", "extensions"]) {
      const text = url.searchParams.get(name);
      if (!text || parsedExactly(text) !== undefined) continue;
      throw new GraphQLError(`Cannot read the parameter ${name}: it is no JSON. Give a JSON object.`, {
        extensions: { code: "BAD_REQUEST", http: { status: 400 } },
      });
    }
  },
};

/** Errors for people are shown as they are, any other one by the id of its log line. */
function shown(error: unknown, { log }: ApiPorts): Error {
  const cause = error instanceof GraphQLError ? error.originalError : error;
  if (error instanceof GraphQLError && (cause == null || cause instanceof GraphQLError)) return error;
  const place = error instanceof GraphQLError ? { nodes: error.nodes, path: error.path } : {};
  if (cause instanceof TransientError) {
    return new GraphQLError(messageOf(cause), { ...place, extensions: { code: "SERVICE_UNAVAILABLE" } });
  }
  const id = crypto.randomUUID();
  log.error("operation failed", { id, error: cause });
  return new GraphQLError(`Internal error ${id}. The log says more under this id.`, {
    ...place,
    extensions: { code: "INTERNAL_SERVER_ERROR", id },
  });
}

function measured(metrics: Metrics): Plugin {
  return {
    onExecute: ({ args, setExecuteFn }) => {
      setExecuteFn(execute); // the executor of graphql itself is faster than yoga's
      const started = performance.now();
      const operation = getOperationAST(args.document, args.operationName);
      return {
        onExecuteDone: ({ result }) => {
          const failed = "errors" in result && (result.errors?.length ?? 0) > 0;
          metrics.graphql.observe(
            { operation: operation?.operation ?? "query", outcome: failed ? "error" : "ok" },
            (performance.now() - started) / 1000,
          );
        },
      };
    },
  };
}
