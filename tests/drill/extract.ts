/**
 * Faults of the source, of the extractor and of the disk with raw files.
 *
 * @module
 */
import assert from "node:assert/strict";
import { commandOf } from "../../cli/services.ts";
import * as faults from "../support/faulty_source.ts";
import type { DrillCase } from "./case.ts";
import { gateAt, play, stopwatch } from "./play.ts";
import { rawFiles } from "./watch.ts";
import { READY, WORKERS } from "./environment.ts";

const area = "extract";

export const cases: readonly DrillCase[] = [
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
            happened: `${ill.length} faults, each page fetched at the second attempt`,
            runs: [run],
            recoveredMs: since(),
          };
        },
      );
    },
  },
  {
    name: "data-disk-full",
    area,
    fault: "disk full at extract and at transform",
    quick: true,
    run: () =>
      play({ bad: 0.1, disks: { data: 12_000_000 } }, async (environment) => {
        const disk = environment.disks.get("data")!;
        await environment.pipeline.start("extractor");
        await disk.fill(64 * 1024);
        const run = await environment.pipeline.tell();
        await environment.pipeline.logged(/ of room; it will be retried/, "extractor");
        await disk.free();
        const since = stopwatch();
        await environment.depth("channel:phase1_complete", 1);
        await disk.fill(64 * 1024);
        await environment.pipeline.start("transformer", "saver");
        await environment.pipeline.logged(/ of room; it will be retried/, "transformer");
        await disk.free();
        await environment.comesTo(run, "COMPLETED");
        return {
          happened: "both phases retried until there was room",
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
        const { pipeline } = environment;
        await pipeline.spawn("extractor 2", commandOf("extractor", pipeline.env, pipeline.pipelines))
          .line(READY);
        const since = stopwatch();
        const runs = await Promise.all(Array.from({ length: 4 }, () => environment.pipeline.tell()));
        for (const run of runs) await environment.comesTo(run, "COMPLETED");
        return { happened: "one extracts while the other waits", runs, recoveredMs: since() };
      }),
  },
  {
    name: "extractor-killed-during-page",
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
        return { happened: "the next extractor resumed in the same file", runs: [run], recoveredMs: since() };
      });
    },
  },
];
