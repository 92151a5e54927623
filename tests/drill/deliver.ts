/**
 * Faults of the SFTP server and of the connection to it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { pause } from "../../shared/actor/backoff.ts";
import type { DrillCase } from "./case.ts";
import { type Engine, POSTGRES, SQLITE } from "../support/engines.ts";
import { play, stopwatch, times } from "./play.ts";
import { type DrillEnvironment, type DrillOptions, WORKERS } from "./environment.ts";

const area = "deliver";

/** A case in which a delivery is postponed while the server fails, and succeeds once the server works again. */
function putOff(
  name: string,
  fault: string,
  quick: boolean,
  reason: RegExp,
  { options = {}, harm, heal }: {
    options?: DrillOptions;
    harm: (environment: DrillEnvironment) => Promise<void>;
    heal: (environment: DrillEnvironment, repeats: number) => Promise<void>;
  },
): DrillCase {
  return {
    name,
    area,
    fault,
    quick,
    run: (repeats) =>
      play(options, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        await harm(environment);
        const run = await environment.pipeline.tell();
        const { delivery_error } = await environment.comesTo(run, "DELIVERY_PENDING");
        assert.match(String(delivery_error), reason);
        assert.deepEqual(environment.pipeline.tables().raw_users, 208);
        await heal(environment, repeats);
        const since = stopwatch();
        await environment.comesTo(run, "COMPLETED");
        return {
          happened: "DELIVERY_PENDING with the reason, loaded all the same",
          runs: [run],
          recoveredMs: since(),
        };
      }),
  };
}

/** A case in which a delivery is refused permanently, and is replayed once the cause is gone. */
function givenUp(
  name: string,
  fault: string,
  quick: boolean,
  reason: RegExp,
  harm: (environment: DrillEnvironment) => Promise<() => Promise<void>>,
): DrillCase {
  return {
    name,
    area,
    fault,
    quick,
    run: () =>
      play({}, async (environment) => {
        await environment.pipeline.start("extractor", "transformer");
        const run = await environment.pipeline.tell();
        await environment.depth("channel:phase2_complete", 1);
        const heal = await harm(environment);
        await environment.pipeline.start("saver");
        const { failure_phase, failure_reason } = await environment.comesTo(run, "FAILED");
        assert.equal(failure_phase, "DELIVERING");
        assert.match(String(failure_reason), reason);
        await heal();
        const since = stopwatch();
        await environment.replay();
        await environment.comesTo(run, "COMPLETED");
        return {
          happened: "FAILED with the reason, loaded all the same; replayed",
          runs: [run],
          recoveredMs: since(),
        };
      }),
  };
}

/** A case in which a saver is killed while it sends, and the next one removes its temporary files. */
function staleTemporaryFiles(engine: Engine): DrillCase {
  return {
    name: `sftp-stale-temporary-files${engine.isShared ? "-postgres" : ""}`,
    area,
    fault: "kill -9 of the saver during an upload leaves a temporary file",
    quick: !engine.isShared,
    usesPostgres: engine.isShared,
    run: () =>
      play({ engine, users: 1_000, env: { BATCH_SIZE: "500" } }, async (environment) => {
        await environment.pipeline.start("extractor", "transformer", "saver");
        const held = environment.sftpLine!.holdAfter(500_000);
        const run = await environment.pipeline.tell();
        const temporary = async () =>
          (await environment.pipeline.remoteFiles()).filter((name) => name.endsWith(".part"));
        await held;
        assert.equal((await temporary()).length, 1);
        await environment.pipeline.kill("saver");
        environment.sftpLine!.release();
        const stranger = ".somebody.jsonl.0123456789ab.part";
        await Deno.writeTextFile(`${environment.upload}/${stranger}`, "not ours");
        const since = stopwatch();
        await environment.pipeline.start("saver");
        await environment.comesTo(run, "COMPLETED");
        const recoveredMs = since();
        assert.deepEqual(await temporary(), [stranger]);
        await Deno.remove(`${environment.upload}/${stranger}`);
        return { happened: "ours was cleaned up, a stranger's left alone", runs: [run], recoveredMs };
      }),
  };
}

export const cases: readonly DrillCase[] = [
  putOff("sftp-down", "the SFTP server is away for up to two minutes", true, /Is it running/, {
    harm: (environment) => environment.pipeline.site!.stop(),
    heal: async (environment, repeats) => {
      await pause(times(120_000, 2_000, repeats));
      await environment.pipeline.site!.start();
    },
  }),
  putOff("sftp-cut-during-file", "the connection is cut during a file", true, /broke|closed|reach/, {
    harm: (environment) => {
      void environment.sftpLine!.cutAfter(150_000);
      return Promise.resolve();
    },
    heal: () => Promise.resolve(),
  }),
  putOff("sftp-disk-full", "disk or quota full on the server", true, /disk or quota full/, {
    options: { disks: { upload: 2_000_000 } },
    harm: (environment) => environment.disks.get("upload")!.fill(100_000),
    heal: (environment) => environment.disks.get("upload")!.free(),
  }),
  givenUp(
    "sftp-other-content",
    "another file has the name on the server",
    true,
    /is another file/,
    async (environment) => {
      const [name] = Array.from(
        Deno.readDirSync(environment.path("data/processed_users")),
        ({ name }) => name,
      );
      const planted = `${environment.upload}/${name}`;
      await Deno.mkdir(environment.upload, { recursive: true });
      await Deno.writeTextFile(planted, "somebody else's\n");
      return async () => {
        assert.equal(await Deno.readTextFile(planted), "somebody else's\n");
        await Deno.remove(planted);
      };
    },
  ),
  staleTemporaryFiles(SQLITE),
  staleTemporaryFiles(POSTGRES),
];
