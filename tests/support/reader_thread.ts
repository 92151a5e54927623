/**
 * The thread of `engines.ts` that queries PostgreSQL databases for a blocked thread. It answers only in the
 * shared memory: a message would reach whichever test runs then.
 *
 * @module
 */
import { Postgres } from "../../shared/store/postgres/connection.ts";

const connections = new Map<string, Postgres>();
let shared: SharedArrayBuffer;

self.onmessage = async ({ data }: MessageEvent<{ url: string; query: string } | SharedArrayBuffer>) => {
  if (data instanceof SharedArrayBuffer) {
    shared = data;
    return self.postMessage("ready");
  }
  const answer = new TextEncoder().encode(await answerTo(data.url, data.query));
  new Uint8Array(shared, 8).set(answer);
  const state = new Int32Array(shared, 0, 2);
  state[1] = answer.length;
  Atomics.store(state, 0, 1);
  Atomics.notify(state, 0);
};

async function answerTo(url: string, query: string): Promise<string> {
  const db = connections.get(url) ?? new Postgres(url, { name: "test reader", max: 1 });
  connections.set(url, db);
  try {
    const json = `SELECT coalesce(json_agg(t), '[]')::text AS rows FROM (${query}) AS t`;
    return `{"rows":${(await db.get<{ rows: string }>(json))!.rows}}`;
  } catch (error) {
    const { message } = error as Error;
    return JSON.stringify(/relation .* does not exist/.test(message) ? { rows: [] } : { error: message });
  }
}
