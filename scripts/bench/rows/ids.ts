import { newRunId } from "../../../shared/contracts/ids.ts";
import type { BenchEnvironment } from "../environment.ts";
import { spreadOf } from "../measure.ts";
import type { Program } from "../programs.ts";
import type { Row } from "../table.ts";

const PAGE = 10_000;
const TIMES = 500;

/** The memory of the extractor over a source of very many UUIDs, as the system counts it, and after a kill in the middle of it. */
export const ids: Row = {
  name: "ids",
  async *measure(environment) {
    const count = environment.scale.users * TIMES;
    let killAt = Infinity;
    let onKill = (): void => {};
    let resumedAt = 0;
    await using source = serve(count, (skip) => {
      if (skip >= killAt) onKill();
      else resumedAt ||= performance.now();
    });
    await Deno.mkdir("identified", { recursive: true });
    await Deno.writeTextFile("identified/visits.ts", definition(source.url));
    const what = `the extractor, ${count} UUIDs`;
    const megabytes = async (program: Program) => spreadOf([(await program.memory()).peak]);
    {
      const { setup, extractor, done } = await begin(environment);
      await using _ = setup;
      const { seconds } = await done;
      const figure = await megabytes(extractor);
      yield { what: `peak memory of ${what}`, figure, unit: "MB", target: { atMost: 1_000 } };
      yield { what: `rate of ${what}`, figure: spreadOf([count / seconds]), unit: "records/s" };
    }
    killAt = count * 0.6;
    const killed = new Promise<void>((done) => onKill = done);
    const { setup, extractor, done } = await begin(environment);
    await using _ = setup;
    await killed;
    extractor.kill();
    killAt = Infinity;
    resumedAt = 0;
    const began = performance.now();
    const next = await setup.start("extractor");
    await done;
    const figure = await megabytes(next);
    yield { what: `the same, killed at 60 % and resumed`, figure, unit: "MB", target: { atMost: 1_000 } };
    const rebuilt = spreadOf([(resumedAt - began) / 1000]);
    yield { what: `from its start to its next page, lease included`, figure: rebuilt, unit: "s" };
  },
};

/** A run of its own, in an extractor of its own; `done` is awaited by whoever asked. */
async function begin(environment: BenchEnvironment) {
  const env = { PIPELINES_DIR: "identified", LEASE_SECONDS: "2" };
  const setup = environment.setup(env, { ownFiles: true });
  const extractor = await setup.start("extractor");
  const order = { run_id: newRunId(), requested_by: "bench", pipeline: "visits" };
  return { setup, extractor, done: setup.costOf("EXTRACTING", "channel:start_run", order) };
}

/** `count` records with a UUID each, the same ones however often they are asked for. */
function serve(count: number, onAsked: (skip: number) => void): AsyncDisposable & { url: string } {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    const skip = Number(new URL(request.url).searchParams.get("skip"));
    onAsked(skip);
    const records = Array.from(
      { length: Math.min(PAGE, count - skip) },
      (_, i) => `{"id":"${uuid(skip + i)}"}`,
    );
    return new Response(`{"total":${count},"items":[${records.join(",")}]}`);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/visits`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** The UUID of number `n`: its bits are scattered, and no two numbers share one. */
function uuid(n: number): string {
  let hex = "";
  for (let word = 0; word < 4; word++) {
    let bits = Math.imul(n + word * 0x9e3779b9 | 0, 0x85ebca6b);
    bits = Math.imul(bits ^ bits >>> 15, 0xc2b2ae35);
    hex += ((bits ^ bits >>> 16) >>> 0).toString(16).padStart(8, "0");
  }
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${
    hex.slice(20)
  }`;
}

function definition(url: string): string {
  return `import * as z from "zod";
import { pipeline } from "etl";

export default pipeline({
  name: "visits",
  record: z.object({ id: z.uuid() }),
  key: "id",
  source: {
    url: "${url}",
    records: "items",
    paging: { by: "offset", offset: "skip", limit: "limit", size: ${PAGE}, total: "total" },
  },
});
`;
}
