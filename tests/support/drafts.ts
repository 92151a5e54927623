/** Sources for `etl new`, and its definitions as a run would read them. */
import { join } from "node:path";
import { draft, type Drafted } from "../../cli/etl/new.ts";
import { linesOf } from "../../extractor/page.ts";
import { pagesOf, startOf } from "../../extractor/pages.ts";
import { sourceOf } from "../../extractor/source.ts";
import { loadPipelines } from "../../shared/pipeline/load.ts";
import type { Plan } from "../../shared/pipeline/plan.ts";
import type { Replica } from "./replicas.ts";

export const ENV: Record<string, string> = { STRIPE_KEY: "sk_test", SHOP_TOKEN: "shpat" };
export const readEnv = (name: string) => ENV[name];
export const signal = new AbortController().signal;

/** Starts a source; disposing of it stops it. */
export function serve(replica: Replica) {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => replica({ url: new URL(request.url), headers: request.headers }),
  );
  return { origin: `http://127.0.0.1:${server.addr.port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** Writes a definition for the list at `/rows` of a source. */
export function draftRows({ origin }: { origin: string }): Promise<Drafted> {
  return draft(`${origin}/rows`, { name: "rows_feed", headers: [], readEnv, signal });
}

/** Loads a definition as a service would. */
export async function loaded(
  { name, text }: Drafted,
): Promise<{ plan: Plan | undefined; problems: readonly string[] }> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, `${name}.ts`), text);
    const { plans, broken } = await loadPipelines(folder);
    return { plan: plans.get(name), problems: broken.get(name) ?? [] };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Extracts with the definition; returns the number of records and the invalid ones. */
export async function extracted(plan: Plan): Promise<{ records: number; bad: string[] }> {
  const patience = {
    timeoutMs: 5_000,
    maxBytes: 1e7,
    maxRetries: 0,
    retryDelaysMs: [0],
    sleep: () => Promise.resolve(),
  };
  using source = sourceOf(plan, patience, readEnv);
  const seen = new Set<string>();
  const bad: string[] = [];
  for await (const page of pagesOf(source, startOf(source), signal)) {
    for (const line of linesOf(page)) {
      seen.add(line);
      const verdict = plan.judgeLine(line);
      if (!verdict.valid) bad.push(...verdict.problems.map(({ message }) => message));
    }
  }
  return { records: seen.size, bad };
}

export const json = (body: unknown, status = 200) => Response.json(body, { status });
export const number = (url: URL, name: string, otherwise: number) =>
  Number(url.searchParams.get(name) ?? otherwise);
