/** GraphiQL, built once and served without external files. */
import { gzip } from "node:zlib";
import { promisify } from "node:util";
import { hashSource, pagePolicy } from "../http/pages.ts";

const FIRST_QUERY = `# Welcome. Ctrl-Enter runs the operation under the cursor; Ctrl-Space completes.

query LatestRuns {
  etlRuns(limit: 5) {
    id
    runId
    status
    validCount
    invalidCount
    phases {
      phase
      durationMs
      recordsPerSecond
    }
    reasons {
      reason
      count
    }
  }
  actors {
    name
    mailbox {
      depth
      paused
      deadLetters
    }
    instances {
      state
      currentRun {
        runId
        records
        total
      }
    }
  }
}

# Start a run and watch it.
mutation StartRun {
  startRun {
    __typename
    ... on StartRunSuccess {
      runId
    }
    ... on Problem {
      message
    }
  }
}

# What happens from now on.
subscription RunEvents {
  runEvents {
    at
    runId
    actor
    type
    phase
    reason
  }
}
`;

interface Page {
  readonly html: Uint8Array<ArrayBuffer>;
  readonly zipped: Uint8Array<ArrayBuffer>;
  readonly policy: string;
}

let made: Promise<Page> | undefined;

/**
 * The page; built at the first call, as it takes 9 MB. It sends the session's cookie, and the headers entered under
 * "Headers".
 */
export async function graphiqlPage(request: Request): Promise<Response> {
  const { html, zipped, policy } = await (made ??= makePage());
  const zip = /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
  const body = zip ? zipped : html;
  return new Response(request.method === "HEAD" ? null : body, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-length": String(body.byteLength),
      ...(zip ? { "content-encoding": "gzip" } : {}),
      "content-security-policy": policy,
      vary: "Accept, Accept-Encoding",
    },
  });
}

async function makePage(): Promise<Page> {
  const { renderGraphiQL } = await import("@graphql-yoga/render-graphiql");
  const text = renderGraphiQL({
    title: "ETL pipeline: GraphiQL",
    endpoint: "/graphql",
    defaultQuery: FIRST_QUERY,
    subscriptionsProtocol: "SSE",
    credentials: "same-origin",
    favicon: "data:,",
  });
  // the bundle's text contains tags; the page's script is the first one of the body, up to the last closing tag
  const begin = text.indexOf("<script>", text.indexOf("<body")) + "<script>".length;
  const script = text.slice(begin, text.lastIndexOf("</script>"));
  const html = new TextEncoder().encode(text);
  const zipped = Uint8Array.from(await promisify(gzip)(html));
  return {
    html,
    zipped,
    policy: pagePolicy({
      script: hashSource(script),
      style: "'unsafe-inline'",
      more: ["worker-src blob:", "font-src data:", "img-src data:"],
    }),
  };
}
