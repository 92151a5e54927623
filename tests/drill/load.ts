/**
 * Faults of the database, and a very large run.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { pause } from "../../shared/actor/backoff.ts";
import type { DrillCase } from "./case.ts";
import { locked } from "./channel.ts";
import { POSTGRES } from "../support/engines.ts";
import { play, stopwatch, times } from "./play.ts";
import { DrillEnvironment, WORKERS } from "./environment.ts";
import { memoryOf } from "./watch.ts";

/** The most memory that transformer and saver may use for a run of any size, in megabytes. */
const MOST_MEGABYTES = 400;

/** The approximate number of commits in a run, and the number of them that a short drill cuts. */
const [COMMITS, LEAST_CUTS] = [50, 5];

/** Returns whether a request to PostgreSQL ends a transaction. */
function isCommit(request: Uint8Array): boolean {
  return new TextDecoder().decode(request).includes("COMMIT\0");
}

export const cases: readonly DrillCase[] = [
  {
    name: "database-locked",
    area: "load",
    fault: "the database locked by another writer for 3 s, and read by another program all the time",
    quick: true,
    run: () =>
      play({ bad: 0.1 }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const first = await environment.pipeline.tell();
        await environment.comesTo(first, "COMPLETED");
        using reader = new DatabaseSync(environment.path("database/data.db"), { readOnly: true });
        reader.exec("BEGIN");
        const count = () => reader.prepare("SELECT count(*) AS n FROM raw_records").get()!.n;
        assert.equal(count(), 208);
        const requested: Promise<string>[] = [];
        const since = await locked(
          environment.path("database/data.db"),
          3_000,
          () => requested.push(environment.pipeline.tell()),
        );
        const second = await requested[0]!;
        await environment.comesTo(second, "COMPLETED");
        assert.equal(count(), 208);
        reader.exec("COMMIT");
        return {
          happened: "the load waited for the writer, not for the reader",
          runs: [first, second],
          recoveredMs: since(),
        };
      }),
  },
  {
    name: "database-disk-full",
    area: "load",
    fault: "disk of the database full at the load",
    quick: true,
    run: () =>
      play({ channel: "redis", disks: { database: 32_000_000 } }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const first = await environment.pipeline.tell();
        await environment.comesTo(first, "COMPLETED");
        const disk = environment.disks.get("database")!;
        emptyLog(environment.path("database/data.db"));
        await disk.fill(100_000);
        const second = await environment.pipeline.tell();
        await environment.pipeline.logged(/disk is full|disk I\/O error/, "saver");
        await disk.free();
        const since = stopwatch();
        await environment.comesTo(second, "COMPLETED");
        return {
          happened: "reported it, and loaded once there was room",
          runs: [first, second],
          recoveredMs: since(),
        };
      }),
  },
  {
    name: "postgres-cut-at-each-commit",
    area: "load",
    fault:
      "connection to PostgreSQL cut before the reply to each commit of a run, so that its outcome is unknown",
    quick: false,
    usesPostgres: true,
    run: (repeats) =>
      play({ engine: POSTGRES, channel: "redis", users: 60, bad: 0.1 }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const stride = Math.max(1, Math.round(Math.min(1 / repeats, COMMITS / LEAST_CUTS)));
        const runs: string[] = [];
        let recoveredMs = 0;
        for (let nth = 1 + Math.floor(Math.random() * stride);; nth += stride) {
          let commits = 0;
          let since: (() => number) | undefined;
          const isNth = (request: Uint8Array) => isCommit(request) && ++commits === nth;
          void environment.databaseLine!.cutAt(isNth, "before the reply").then(() => since = stopwatch());
          const run = await environment.pipeline.tell();
          runs.push(run);
          await environment.comesTo(run, "COMPLETED");
          if (since === undefined) break;
          recoveredMs = Math.max(recoveredMs, since());
        }
        const happened = `${runs.length - 1} cuts, one at ${
          stride === 1 ? "each commit" : `one in ${stride}`
        }`;
        return { happened, runs, recoveredMs };
      }),
  },
  {
    name: "five-million-records",
    area: "load",
    fault: "a run of five million records",
    quick: false,
    run: async (repeats) => {
      const records = times(5_000_000, 100_000, repeats);
      await using environment = await DrillEnvironment.open({ sftp: "none" });
      const rawFile = "data/raw_users/records_20261124_030007.jsonl";
      await writeRecords(environment.path(rawFile), records);
      await environment.pipeline.start("transformer", "saver");
      const since = stopwatch();
      await environment.pipeline.channel.publish({
        to: "channel:phase1_complete",
        id: "many",
        body: JSON.stringify({ id: "many", raw_file: rawFile }),
      });
      await environment.until(
        "the run",
        async () => {
          await pause(250); // more frequent checks would slow the run down
          return environment.pipeline.runs()[0]?.status === "COMPLETED";
        },
        undefined,
        3_600_000,
      );
      const recoveredMs = since();
      const megabytes = await Promise.all(
        ["transformer", "saver"].map((name) => memoryOf(environment.pipeline.process(name).pid)),
      );
      for (const most of megabytes) assert(most < MOST_MEGABYTES, `${most} MB`);
      const [{ rows, ids } = { rows: 0, ids: 0 }] = environment.pipeline.sql<{ rows: number; ids: number }>(
        "SELECT count(*) AS rows, count(DISTINCT json ->> 'id') AS ids FROM processed_records",
      );
      return {
        happened: `${records} records, at most ${megabytes.join(" and ")} MB`,
        lost: records - ids,
        twice: rows - ids,
        recoveredMs,
      };
    },
  },
];

async function writeRecords(path: string, records: number): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  using file = await Deno.open(path, { write: true, create: true });
  const encoder = new TextEncoder();
  const atOnce = 10_000;
  for (let id = 1; id <= records; id += atOnce) {
    let text = "";
    for (let i = id; i < Math.min(id + atOnce, records + 1); i++) {
      text += `{"id":${i},"firstName":"A","email":"a${i}@b.co","age":30,"company":{"department":"Legal"}}\n`;
    }
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  }
}

/** Truncates the write-ahead log, so that the next load can't reuse its space. */
function emptyLog(path: string): void {
  using db = new DatabaseSync(path, { timeout: 5_000 });
  const { busy } = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
  assert(busy === 0, "the write-ahead log is in use");
}
