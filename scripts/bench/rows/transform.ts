import { integer, pipeline } from "etl";
import * as z from "zod";
import { newRunId } from "../../../shared/contracts/ids.ts";
import { splitLines } from "../../../shared/files/lines.ts";
import { planOf } from "../../../shared/pipeline/plan.ts";
import { transform as transformLines } from "../../../transformer/transform.ts";
import { jqTransform } from "../baselines.ts";
import { rawFile } from "../fixtures.ts";
import { inTurn, spreadOf } from "../measure.ts";
import type { Row } from "../table.ts";

/** The transformer over one raw file, in a newly started process, against `jq`. */
export const transform: Row = {
  name: "transform",
  async *measure(environment) {
    const { users, turns } = environment.scale;
    const raw = await rawFile(environment, users);
    const perSecond: number[] = [];
    const found = await inTurn(turns, () => jqTransform(raw.name), async () => {
      await using setup = environment.setup();
      const order = {
        run_id: newRunId(),
        raw_file: raw.name,
        raw_sha256: raw.sha256,
        record_count: raw.records,
      };
      const transformer = await setup.start("transformer");
      const cost = await setup.costOf("TRANSFORMING", "channel:phase1_complete", order, transformer);
      perSecond.push(users / cost.seconds);
      return cost;
    });
    yield { what: `transform ${users} users`, ...found, unit: "x", target: { atMost: 0.25 } };
    yield {
      what: "transform, records a second",
      ours: found.ours,
      figure: spreadOf(perSecond),
      unit: "records/s",
      target: { atLeast: 60_000 },
    };
    yield {
      what: "transform in memory, records a second of 60 fields with 20 rules",
      figure: await wideRecords(Math.min(users, 50_000), turns),
      unit: "records/s",
      target: { atLeast: 40_000 },
    };
  },
};

const text = z.string().min(1);
const WIDE = pipeline({
  name: "wide",
  record: z.object({
    ...{
      id: integer,
      at: z.iso.datetime(),
      day: z.iso.date(),
      mail: z.email(),
      link: z.url(),
      uuid: z.uuid(),
    },
    ...{
      state: z.enum(["open", "closed"]),
      done: z.boolean(),
      share: z.number().min(0).max(1),
      code: z.string().length(2),
    },
    ...{
      tags: z.array(text),
      deep: z.object({ name: text, size: integer.min(0) }),
      note: text.nullable(),
      kind: z.literal("x"),
    },
    ...{ text_0: text, text_1: text, text_2: text, text_3: text, text_4: text.optional() },
  }),
  key: "id",
  source: { url: "https://wide.example.org", paging: { by: "none" } },
});

/** A valid record, except for every tenth one. */
function wideRecord(id: number): string {
  const texts = Array.from({ length: 46 }, (_, at) => [`text_${at}`, `text ${at} of the record ${id}`]);
  return JSON.stringify({
    ...{ id, at: "2026-01-01T00:00:00Z", day: "2026-01-01", mail: `a${id}@example.org` },
    ...{
      link: `https://example.org/${id}`,
      uuid: "9b2e1d3c-7a4f-4b6e-8c1d-2f3a4b5c6d7e",
      state: "open",
      done: true,
    },
    ...{
      share: id % 10 === 0 ? 2 : 0.5,
      code: "ES",
      tags: ["a", "b"],
      deep: { name: "x", size: 1 },
      note: null,
      kind: "x",
    },
    ...Object.fromEntries(texts),
  });
}

async function wideRecords(records: number, turns: number) {
  const lines = Array.from({ length: records }, (_, at) => `${wideRecord(at)}\n`);
  const bytes = new TextEncoder().encode(lines.join(""));
  const sink = { write: () => Promise.resolve() };
  const plan = planOf(WIDE, z.compile);
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += 2 ** 18) {
      yield await Promise.resolve(bytes.subarray(at, at + 2 ** 18));
    }
  }
  const rates: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const begun = performance.now();
    await transformLines(splitLines(chunks()), {
      processed: sink,
      dead: sink,
      plan,
      added: [],
      progress() {},
    });
    rates.push(records / (performance.now() - begun) * 1_000);
  }
  return spreadOf(rates);
}
