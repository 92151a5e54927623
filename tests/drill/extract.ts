/**
 * Faults of the source, of the checkpoint and of the disk that records are extracted to.
 *
 * @module
 */
import assert from "node:assert/strict";
import { commandOf } from "../../cli/services.ts";
import * as faults from "../support/faulty_source.ts";
import type { DrillCase } from "./case.ts";
import { gateAt, play, stopwatch } from "./play.ts";
import { memoryOf, rawFiles } from "./watch.ts";
import { type DrillEnvironment, READY, WORKERS } from "./environment.ts";

const area = "extract";

/** Has the extractor fail for good at the page `skip` until `heal` is called; answers the run that failed there. */
async function failedRun(environment: DrillEnvironment, heal: () => void): Promise<string> {
  await environment.pipeline.start(...WORKERS);
  const run = await environment.pipeline.tell();
  const { failure_phase, failure_reason } = await environment.comesTo(run, "FAILED");
  assert.equal(failure_phase, "EXTRACTING");
  assert.match(String(failure_reason), /^Cannot /);
  heal();
  return run;
}

/** Asks again after a failed run; answers how long it took until the failed run was whole. */
async function resumed(environment: DrillEnvironment, run: string): Promise<number> {
  const since = stopwatch();
  await environment.pipeline.tell();
  await environment.comesTo(run, "COMPLETED");
  return since();
}

/** A source that fails with `fault` from its page at 100 on, until it is healed. */
function sick(fault: faults.Fault): { wrap: ReturnType<typeof faults.withFaults>; heal: () => void } {
  let well = false;
  return {
    wrap: faults.withFaults(({ skip }) => skip >= 100 && !well ? fault : undefined),
    heal: () => well = true,
  };
}

/** A case in which the source fails for good, and heals later. */
function sickCase(
  name: string,
  fault: string,
  quick: boolean,
  ill: faults.Fault,
  maxMegabytes = 400,
): DrillCase {
  return {
    name,
    area,
    fault,
    quick,
    run: () => {
      const { wrap, heal } = sick(ill);
      return play({ wrap }, async (environment) => {
        const run = await failedRun(environment, heal);
        const megabytes = await memoryOf(environment.pipeline.process("extractor").pid);
        assert(megabytes < maxMegabytes, `the extractor took ${megabytes} MB`);
        const { failure_reason } = environment.run(run)!;
        const recoveredMs = await resumed(environment, run);
        assert.equal((await rawFiles(environment)).length, 1);
        const happened = `FAILED: ${
          String(failure_reason).split(": ").at(1)?.slice(0, 60)
        }; next run resumed its file, at most ${megabytes} MB`;
        return { happened, runs: [run], recoveredMs };
      });
    },
  };
}

/** The cases. */
export const cases: readonly DrillCase[] = [
  {
    name: "source-recovers",
    area,
    fault: "HTTP 500 three times, then well",
    quick: true,
    run: () =>
      play({
        wrap: faults.withFaults(({ skip, tries }) =>
          skip === 100 && tries <= 3 ? faults.status(500) : undefined
        ),
      }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const since = stopwatch();
        const run = await environment.pipeline.tell();
        await environment.comesTo(run, "COMPLETED");
        assert.equal((await rawFiles(environment)).length, 1);
        return { happened: "3 tries, then on in the same file", runs: [run], recoveredMs: since() };
      }),
  },
  {
    name: "source-away",
    area,
    fault: "all tries of a page spent, one-shot extractor",
    quick: true,
    run: () => {
      const { wrap, heal } = sick(faults.status(503));
      return play({ wrap }, async (environment) => {
        await environment.pipeline.start("transformer", "saver");
        assert.equal(await environment.pipeline.begin("extractor", "--once").ended, 1);
        const [failed] = await environment.until("a failed run", () => {
          const runs = environment.pipeline.runs().filter(({ status }) => status === "FAILED");
          return runs.length > 0 && runs;
        });
        assert.match(String(failed!.failure_reason), /HTTP 503 \(4 times\)/);
        const [part] = await rawFiles(environment);
        heal();
        const since = stopwatch();
        assert.equal(await environment.pipeline.begin("extractor", "--once").ended, 0);
        const { raw_file } = await environment.comesTo(failed!.run_id, "COMPLETED");
        assert.equal(`${raw_file}.part`, `data/raw_users/${part}`);
        return {
          happened: "FAILED, exit 1; the next start resumed the same file, exit 0",
          runs: [failed!.run_id],
          recoveredMs: since(),
        };
      });
    },
  },
  {
    name: "source-faults-in-turn",
    area,
    fault: "reset, truncated, no JSON, HTML, Retry-After (both forms), slow body, short pages, page by page",
    quick: true,
    run: () => {
      const soon = () => new Date(Date.now() + 1_000).toUTCString();
      const ill: faults.Fault[] = [
        faults.reset,
        faults.truncated,
        faults.text("no JSON"),
        faults.html,
        faults.status(429, { "retry-after": "1" }),
        (request, answer) => faults.status(503, { "retry-after": soon() })(request, answer),
        faults.slowBody(50),
        faults.silent,
      ];
      const wrap = faults.withFaults(({ skip, tries }) => tries === 1 ? ill[skip / 15] : faults.atMost(15));
      return play(
        { wrap, env: { HTTP_TIMEOUT_SECONDS: "1.5", BATCH_SIZE: "20" } },
        async (environment) => {
          await environment.pipeline.start(...WORKERS);
          const since = stopwatch();
          const run = await environment.pipeline.tell();
          await environment.comesTo(run, "COMPLETED");
          return {
            happened: `${ill.length} faults, each page fetched at the second try`,
            runs: [run],
            recoveredMs: since(),
          };
        },
      );
    },
  },
  sickCase("redirect-loop", "redirects in a circle", false, faults.redirectCircle),
  sickCase("page-repeats", "a source that repeats a page for ever", false, faults.pageOf(50)),
  sickCase("gzip-bomb", "a compressed page of 2 GB", false, faults.gzipBomb(2_000_000_000)),
  sickCase("page-of-200-mb", "a page of 200 MB", false, faults.text(new Uint8Array(200_000_000).fill(32))),
  {
    name: "source-changes-under-way",
    area,
    fault: "ten records added in front while pages are read: the total grows, ids come twice",
    quick: false,
    run: () => {
      const shifted = (skip: number): faults.Fault => (request, answer) =>
        faults.totalOf(218)(request, (request) => faults.pageOf(skip - 10)(request, answer));
      const wrap = faults.withFaults(({ skip }) => skip >= 100 ? shifted(skip) : undefined);
      return play({ wrap }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const since = stopwatch();
        const run = await environment.pipeline.tell();
        await environment.comesTo(run, "COMPLETED");
        return { happened: "each record that was there once", runs: [run], recoveredMs: since() };
      });
    },
  },
  {
    name: "source-empty",
    area,
    fault: "a source without records",
    quick: false,
    run: () =>
      play({ users: 0 }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const since = stopwatch();
        const run = await environment.pipeline.tell();
        await environment.comesTo(run, "COMPLETED");
        return { happened: "three empty files, loaded and delivered", runs: [run], recoveredMs: since() };
      }),
  },
  {
    name: "checkpoint-corrupted",
    area,
    fault: "the checkpoint file is garbage",
    quick: true,
    run: () => {
      const { wrap, heal } = sick(faults.status(500));
      return play({ wrap }, async (environment) => {
        await failedRun(environment, heal);
        const [part] = await rawFiles(environment);
        await Deno.writeTextFile(environment.path("data/state/extractor_state.json"), '{"version":1,"curr');
        const since = stopwatch();
        const run = await environment.pipeline.tell();
        await environment.comesTo(run, "COMPLETED");
        await Deno.remove(environment.path(`data/raw_users/${part}`)); // left to the operator, as the log says
        await environment.pipeline.said(/was set aside/);
        const kept = Array.from(Deno.readDirSync(environment.path("data/state"))).filter(({ name }) =>
          name.includes(".corrupt-")
        );
        assert.equal(kept.length, 1);
        return {
          happened: "set aside with a warning, a new run from the beginning",
          runs: [run],
          recoveredMs: since(),
        };
      });
    },
  },
  {
    name: "checkpoint-of-another-source",
    area,
    fault: "the unfinished run is one of another source",
    quick: false,
    run: () => {
      const { wrap, heal } = sick(faults.status(500));
      return play({ wrap }, async (environment) => {
        await failedRun(environment, heal);
        const [part] = await rawFiles(environment);
        await environment.pipeline.stop("extractor");
        environment.pipeline.env.API_BASE_URL = `${environment.pipeline.source.url}?of=another`;
        const since = stopwatch();
        await environment.pipeline.start("extractor");
        const run = await environment.pipeline.tell();
        await environment.comesTo(run, "COMPLETED");
        await environment.pipeline.said(/one of another source/);
        await Deno.remove(environment.path(`data/raw_users/${part}`));
        return {
          happened: "set aside with a warning, a new run of the new source",
          runs: [run],
          recoveredMs: since(),
        };
      });
    },
  },
  {
    name: "data-disk-full",
    area,
    fault: "disk full at extract and at transform",
    quick: true,
    run: () =>
      play({ bad: 0.1, disks: { data: 1_500_000 } }, async (environment) => {
        const disk = environment.disks.get("data")!;
        await environment.pipeline.start("extractor");
        await disk.fill(64 * 1024);
        const run = await environment.pipeline.tell();
        await environment.pipeline.said(/disk full/, "extractor");
        await disk.free();
        const since = stopwatch();
        await environment.depth("channel:phase1_complete", 1);
        await disk.fill(64 * 1024);
        await environment.pipeline.start("transformer", "saver");
        await environment.pipeline.said(/disk full/, "transformer");
        await disk.free();
        await environment.comesTo(run, "COMPLETED");
        return {
          happened: "both phases tried again until there was room",
          runs: [run],
          recoveredMs: since(),
        };
      }),
  },
  {
    name: "two-extractors",
    area,
    fault: "two extractors at once on one data directory",
    quick: false,
    run: () =>
      play({ delayMs: 20 }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        await environment.pipeline.spawn("extractor 2", commandOf("extractor", environment.pipeline.env))
          .line(READY);
        const since = stopwatch();
        const runs = await Promise.all(Array.from({ length: 4 }, () => environment.pipeline.tell()));
        for (const run of runs) await environment.comesTo(run, "COMPLETED");
        return { happened: "one extracts while the other waits", runs, recoveredMs: since() };
      }),
  },
  {
    name: "extractor-killed-in-mid-page",
    area,
    fault: "kill -9 while a page is awaited",
    quick: true,
    run: () => {
      const gate = gateAt(150);
      return play({ wrap: gate.wrap, env: { HTTP_TIMEOUT_SECONDS: "60" } }, async (environment) => {
        await environment.pipeline.start(...WORKERS);
        const run = await environment.pipeline.tell();
        await gate.reached;
        await environment.pipeline.kill("extractor");
        gate.open();
        const since = stopwatch();
        await environment.pipeline.start("extractor");
        await environment.comesTo(run, "COMPLETED");
        assert.equal((await rawFiles(environment)).length, 1);
        return { happened: "the next extractor went on in the same file", runs: [run], recoveredMs: since() };
      });
    },
  },
];
