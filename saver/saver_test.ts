import assert from "node:assert/strict";
import { getLogger } from "@logtape/logtape";
import { newRunId } from "../shared/contracts/ids.ts";
import { Phase2Complete, RunEvent } from "../shared/contracts/messages.ts";
import { LocalFiles } from "../shared/files/local.ts";
import { onEachEngine, storeOn } from "../tests/support/engines.ts";
import { saver } from "./saver.ts";

const HANDLING = {
  attempt: 1,
  signal: new AbortController().signal,
  log: getLogger("test"),
  progress: () => {},
  tell: () => Promise.resolve(),
};

onEachEngine(
  "an order newer than a cancellation isn't refused because of it, an older one is",
  async (engine) => {
    await using temp = await storeOn(engine);
    const folder = await Deno.makeTempDir();
    try {
      const files = new LocalFiles(folder);
      const names = ["raw_users/records_1.jsonl", "processed_users/p_1.jsonl", "dlq/i_1.jsonl"];
      for (const name of names) {
        await using part = await files.create(`${folder}/${name}`);
        await part.publish();
      }
      const [raw_file, processed_file, dlq_file] = names.map((name) => `${folder}/${name}`);
      const runId = newRunId();
      const at = (minute: number) => `2026-11-24T03:0${minute}:00.000Z`;
      await temp.store.record([RunEvent.parse({
        id: "cancelled",
        type: "run_cancelled",
        run_id: runId,
        actor: "api",
        requested_by: "ana",
        published_at: at(2),
      })]);
      const order = (published_at: string) => ({
        ...Phase2Complete.parse({
          id: "m",
          run_id: runId,
          published_at,
          raw_file: "data/x",
          processed_file: "data/x",
          dlq_file: "data/x",
          valid_count: 0,
          invalid_count: 0,
        }),
        ...{ raw_file: raw_file!, processed_file: processed_file!, dlq_file: dlq_file! },
      });
      const { handle } = saver({ store: temp.store, files });
      await assert.rejects(handle(order(at(1)), HANDLING, runId), /Cancelled by ana/);
      const { detail } = await handle(order(at(3)), HANDLING, runId);
      assert.equal(detail.records, 0);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
