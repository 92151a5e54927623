/**
 * Faults of the raw file, of the lookup, of the records and of the database.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { pause } from "../../shared/actor/backoff.ts";
import { EXIT } from "../../shared/actor/service.ts";
import type { DrillCase } from "./case.ts";
import { locked } from "./channel.ts";
import { play, stopwatch, times } from "./play.ts";
import { DrillEnvironment, WORKERS } from "./environment.ts";
import { recordsOf } from "./verify.ts";
import { memoryOf } from "./watch.ts";

/** Megabytes that transformer and saver may take, however large the run. */
const MOST_MEGABYTES = 400;

/** Has a run extracted, but not transformed; answers it with its raw file. */
async function extracted(environment: DrillEnvironment): Promise<{ run: string; rawFile: string }> {
  await environment.pipeline.start("extractor", "saver");
  const run = await environment.pipeline.tell();
  await environment.depth("channel:phase1_complete", 1);
  const [name] = Array.from(Deno.readDirSync(environment.path("data/raw_users")), ({ name }) => name);
  return { run, rawFile: environment.path(`data/raw_users/${name}`) };
}

/** Starts a saver that is to refuse its database file; answers what it says. The file has to stay as it is. */
async function refused(environment: DrillEnvironment): Promise<string> {
  const path = environment.path("database/data.db");
  const before = await Deno.readFile(path);
  assert.equal(await environment.pipeline.begin("saver").ended, EXIT.failed);
  assert.deepEqual(await Deno.readFile(path), before);
  return (await environment.pipeline.said(/saver failed/, "saver")).text;
}

/** A database that can't be used while a run is waiting for it. */
function brokenDatabase(
  name: string,
  fault: string,
  quick: boolean,
  says: RegExp,
  harm: (path: string) => Promise<void>,
): DrillCase {
  return {
    name,
    area: "load",
    fault,
    quick,
    run: () =>
      play({ channel: "redis" }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const first = await environment.pipeline.tell();
        await environment.comesTo(first, "COMPLETED");
        await environment.pipeline.stop("saver");
        const path = environment.path("database/data.db");
        await Deno.copyFile(path, `${path}.backup`);
        await harm(path);
        const second = await environment.pipeline.tell();
        await environment.depth("channel:phase2_complete", 1);
        assert.match(await refused(environment), says);
        await Deno.rename(`${path}.backup`, path);
        const since = stopwatch();
        await environment.pipeline.start("saver");
        await environment.comesTo(second, "COMPLETED");
        return {
          happened: "refused with exit 1, not a byte changed; loaded when the backup was back",
          runs: [first, second],
          recoveredMs: since(),
        };
      }),
  };
}

/** The cases. */
export const cases: readonly DrillCase[] = [
  {
    name: "raw-file-missing-changed-cut",
    area: "transform",
    fault: "raw file missing, changed since its sum was taken, or cut",
    quick: true,
    run: () =>
      play({}, async (environment) => {
        const { run, rawFile } = await extracted(environment);
        const good = await Deno.readFile(rawFile);
        await environment.pipeline.start("transformer");
        await environment.comesTo(run, "COMPLETED");
        const runs = [run];
        const reasons: string[] = [];
        let recoveredMs = 0;
        for (
          const harm of [
            undefined,
            good.map((byte, i) => i === 500 ? byte ^ 1 : byte),
            good.subarray(0, 9_000),
          ]
        ) {
          await environment.pipeline.kill("transformer");
          const run = await environment.pipeline.tell();
          runs.push(run);
          await environment.depth("channel:phase1_complete", 1);
          const names = Array.from(Deno.readDirSync(environment.path("data/raw_users")), ({ name }) => name);
          const file = environment.path(`data/raw_users/${names.sort().at(-1)}`);
          await Deno.rename(file, `${file}.kept`);
          if (harm !== undefined) await Deno.writeFile(file, harm);
          await environment.pipeline.start("transformer");
          const { failure_phase, failure_reason } = await environment.comesTo(run, "FAILED");
          assert.equal(failure_phase, "TRANSFORMING");
          reasons.push(/it isn't there|its SHA-256 is/.exec(String(failure_reason))![0]);
          await Deno.rename(`${file}.kept`, file);
          const since = stopwatch();
          await environment.replay();
          await environment.comesTo(run, "COMPLETED");
          recoveredMs = Math.max(recoveredMs, since());
        }
        assert.deepEqual(reasons, ["it isn't there", "its SHA-256 is", "its SHA-256 is"]);
        return { happened: "FAILED with the reason; put back and replayed", runs, recoveredMs };
      }),
  },
  {
    name: "lookup-broken",
    area: "transform",
    fault: "a row of the lookup file is broken",
    quick: true,
    run: () =>
      play({}, async (environment) => {
        const { run } = await extracted(environment);
        const lookup = environment.path("transformer/departments.csv");
        const good = await Deno.readTextFile(lookup);
        await Deno.writeTextFile(lookup, `${good}Sales,SAL,surplus\n`);
        assert.notEqual(await environment.pipeline.begin("transformer").ended, EXIT.ok);
        await environment.pipeline.said(/departments\.csv/, "transformer");
        await Deno.writeTextFile(lookup, good);
        const since = stopwatch();
        await environment.pipeline.start("transformer");
        await environment.comesTo(run, "COMPLETED");
        return {
          happened: "refused to start, naming the row; the run waited",
          runs: [run],
          recoveredMs: since(),
        };
      }),
  },
  {
    name: "fields-change",
    area: "transform",
    fault: "fields that are new, missing, or of another type",
    quick: true,
    run: async () => {
      const changed = (text: string) =>
        text.replace(/"height":[\d.]+/g, '"height":"tall"').replace(/"phone":"[^"]*",/g, "")
          .replace(/"gender":/g, '"nick name":{"a":[1.0,12345678901234567890]},"gender":');
      const source = recordsOf({}).map(changed);
      const wrap = (answer: (request: Request) => Response | Promise<Response>) => async (request: Request) =>
        new Response(changed(await (await answer(request)).text()), {
          headers: { "content-type": "application/json" },
        });
      return await play({ wrap }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const since = stopwatch();
        const run = await environment.pipeline.tell();
        await environment.comesTo(run, "COMPLETED");
        const [row] = environment.pipeline.sql<Record<string, unknown>>(
          "SELECT * FROM processed_users LIMIT 1",
        );
        assert.equal(row!["nick name"], '{"a":[1.0,12345678901234567890]}');
        assert.equal(row!["height"], "tall");
        return {
          happened: "loaded as they are, the new one with a column",
          runs: [run],
          recoveredMs: since(),
          source,
        };
      });
    },
  },
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
        const asked: Promise<string>[] = [];
        const since = await locked(
          environment.path("database/data.db"),
          3_000,
          () => asked.push(environment.pipeline.tell()),
        );
        const second = await asked[0]!;
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
    name: "database-locked-for-long",
    area: "load",
    fault: "the database locked by another writer for longer than a load waits (32 s)",
    quick: false,
    run: () =>
      play({}, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const first = await environment.pipeline.tell();
        await environment.comesTo(first, "COMPLETED");
        const asked: Promise<string>[] = [];
        const since = await locked(environment.path("database/data.db"), 32_000, () =>
          asked.push(environment.pipeline.tell()));
        const second = await asked[0]!;
        await environment.comesTo(second, "COMPLETED");
        await environment.pipeline.said(/has held its lock/, "saver");
        return { happened: "said so, tried again, loaded", runs: [first, second], recoveredMs: since() };
      }),
  },
  {
    name: "database-disk-full",
    area: "load",
    fault: "disk of the database full at the load",
    quick: true,
    run: () =>
      play({ channel: "redis", disks: { database: 4_000_000 } }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const first = await environment.pipeline.tell();
        await environment.comesTo(first, "COMPLETED");
        const disk = environment.disks.get("database")!;
        emptyLog(environment.path("database/data.db"));
        await disk.fill(100_000);
        const second = await environment.pipeline.tell();
        await environment.pipeline.said(/disk is full|disk I\/O error/, "saver");
        await disk.free();
        const since = stopwatch();
        await environment.comesTo(second, "COMPLETED");
        return {
          happened: "said so, and loaded when there was room",
          runs: [first, second],
          recoveredMs: since(),
        };
      }),
  },
  brokenDatabase(
    "database-damaged",
    "the database file is damaged",
    true,
    /malformed|not a database/,
    async (path) => {
      using file = await Deno.open(path, { write: true });
      await file.write(
        new TextEncoder().encode("this is no database any more, somebody wrote over its first page"),
      );
    },
  ),
  brokenDatabase("database-newer", "the database was made by a newer program", false, /newer/, (path) => {
    using db = new DatabaseSync(path);
    db.exec("PRAGMA user_version = 999");
    return Promise.resolve();
  }),
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
          await pause(250); // looking costs time that the run needs
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
  {
    name: "transformer-killed",
    area: "transform",
    fault: "kill -9 of the transformer in mid-file",
    quick: true,
    run: () =>
      play({ bad: 0.1, users: 5_000, env: { BATCH_SIZE: "1000" } }, async (environment) => {
        await environment.pipeline.start("extractor", "saver");
        const run = await environment.pipeline.tell();
        await environment.depth("channel:phase1_complete", 1);
        const transformer = environment.beginUpTo("transformer", "write a file");
        assert.notEqual(await environment.standsStill(transformer, () => false), undefined);
        await environment.pipeline.kill("transformer");
        const since = stopwatch();
        await environment.pipeline.start("transformer");
        await environment.comesTo(run, "COMPLETED");
        return { happened: "the next one began the files anew", runs: [run], recoveredMs: since() };
      }),
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

/** Gives back the room of the write-ahead log, which the next load would use again. */
function emptyLog(path: string): void {
  using db = new DatabaseSync(path, { timeout: 5_000 });
  const { busy } = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
  assert(busy === 0, "the write-ahead log is in use");
}
