/**
 * A disk that is full, or fails, at each step at which a service changes it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { getLogger } from "@logtape/logtape";
import { sampleSource } from "../../local/source.ts";
import { Phase1Complete } from "../../shared/contracts/messages.ts";
import { TransientError } from "../../shared/errors/errors.ts";
import { LocalDocuments } from "../../shared/files/documents.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { usersPlan } from "../support/users.ts";
import { plannedUntilIn } from "../../extractor/planned_until.ts";
import { readLookups } from "../../transformer/lookup.ts";
import { transformer } from "../../transformer/transformer.ts";
import { startCorrections } from "../support/correction.ts";
import { expected, quiet, RAW_FILE, request, startPipeline } from "../support/extraction.ts";
import { failWritesAt, type Fault, FAULTS } from "../support/failing_writes.ts";

const KINDS = Object.keys(FAULTS) as Fault[];

/** The work to try with every fault, and its expected result. */
interface Trial extends AsyncDisposable {
  /** Does the work; can be called repeatedly. */
  work(): Promise<unknown>;
  /** The content of every file after the work, by its name below the data directory. */
  readonly whole: Map<string, string>;
  readonly data: string;
}

/** Injects each fault at each step. Asserts that there are at least `least` steps. */
async function tryEveryStep(begin: () => Promise<Trial>, least: number): Promise<void> {
  for (const fault of KINDS) {
    const steps = await tryEveryStepWith(begin, fault);
    assert.ok(steps >= least, `${steps} steps`);
  }
}

/** Injects the fault at each step; returns the number of steps. */
async function tryEveryStepWith(begin: () => Promise<Trial>, fault: Fault): Promise<number> {
  for (let at = 1;; at++) {
    await using trial = await begin();
    let hasFailed: boolean;
    {
      using disk = failWritesAt(at, fault);
      const where = `${fault} at step ${at}`;
      await trial.work().catch((error) => assert.ok(error instanceof TransientError, `${where}: ${error}`));
      hasFailed = disk.hasFailed;
    }
    for (const [name, content] of await contentsOf(trial.data)) {
      const whole = trial.whole.get(name);
      if (whole !== undefined) assert.equal(content, whole, `${fault} at step ${at}: ${name} is not whole`);
      else if (name.endsWith(".json")) JSON.parse(content);
    }
    if (!hasFailed) return at - 1;
    await trial.work();
    const contents = await contentsOf(trial.data);
    for (const [name, content] of trial.whole) {
      assert.equal(contents.get(name), content, `${name} after step ${at}`);
    }
    const parts = [...contents.keys()].filter((name) => name.endsWith(".part"));
    assert.deepEqual(parts, [], `${fault} at step ${at}`);
  }
}

async function contentsOf(folder: string, below = ""): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${below}`)) {
    const path = `${below}${name}`;
    if (!isDirectory) found.set(path, await Deno.readTextFile(`${folder}/${path}`));
    else for (const entry of await contentsOf(folder, `${path}/`)) found.set(...entry);
  }
  return found;
}

Deno.test("an extraction survives ENOSPC and EIO at every write: no partial file has a final name, and the next try completes it", async () => {
  const whole = new Map([[`raw_users/${RAW_FILE}`, await expected({ users: 250 })]]);
  await tryEveryStep(async () => {
    const pipeline = await startPipeline({ users: 250 });
    const requested = request();
    return {
      data: pipeline.data,
      whole,
      work: () => pipeline.handle(requested),
      [Symbol.asyncDispose]: () => pipeline[Symbol.asyncDispose](),
    };
  }, 20);
});

Deno.test("a correction survives ENOSPC and EIO at every write: no partial file has a final name, and the next try completes it", async () => {
  await tryEveryStep(async () => {
    const pipeline = await startCorrections();
    const { sha256 } = await pipeline.files.facts(pipeline.dlq_file);
    const requested = pipeline.request(
      [{ line: 1, merge: { age: 18 } }, { line: 4, merge: { age: 19 } }],
      sha256,
    );
    return {
      data: pipeline.data,
      whole: new Map([[
        "raw_users/records_20261124_040000.jsonl",
        '{"id":1.0,"age":18}\n{"id":4,"age":19}\n',
      ]]),
      work: async () => {
        const { outputs: [announced] } = await pipeline.handle(requested);
        assert.equal(announced?.to, "channel:phase1_complete");
        const checkpoint = JSON.parse(await Deno.readTextFile(`${pipeline.data}/state/extractor_state.json`));
        assert.equal(checkpoint.completed.length, 1);
        await Deno.stat(`${pipeline.data}/state/untransformed/${requested.run_id}.json`);
      },
      [Symbol.asyncDispose]: () => pipeline[Symbol.asyncDispose](),
    };
  }, 12);
});

Deno.test("a transform survives ENOSPC and EIO at every write: no partial file has a final name, and the next try completes it", async () => {
  const answer = await sampleSource({ users: 100, bad: 0.2 })(new Request("http://source/users?limit=0"));
  const raw = ((await answer.json()) as { users: unknown[] }).users.map((user) => `${JSON.stringify(user)}\n`)
    .join("");
  const lookups = await readLookups(usersPlan);
  let whole = new Map<string, string>();
  const begin = async () => {
    const data = await Deno.makeTempDir();
    await Deno.mkdir(`${data}/raw_users`);
    await Deno.writeTextFile(`${data}/raw_users/${RAW_FILE}`, raw);
    const actor = transformer({ files: new LocalFiles(data), feedOf: () => ({ plan: usersPlan, lookups }) });
    const message = {
      ...Phase1Complete.parse({ raw_file: "x" }),
      raw_file: `${data}/raw_users/${RAW_FILE}`,
    };
    return {
      data,
      whole,
      work: () => actor.handle(message, quiet({ log: getLogger("test") })),
      [Symbol.asyncDispose]: () => Deno.remove(data, { recursive: true }),
    };
  };
  {
    await using undisturbed = await begin();
    await undisturbed.work();
    whole = await contentsOf(undisturbed.data);
    for (const name of whole.keys()) if (name.startsWith("state/")) whole.delete(name); // contains the name of the temporary folder
  }
  await tryEveryStep(begin, 8);
});

Deno.test("the schedule's state is saved as a whole or not at all with ENOSPC and EIO at every write", async () => {
  await tryEveryStep(async () => {
    const data = await Deno.makeTempDir();
    await Deno.mkdir(`${data}/state`);
    const kept = plannedUntilIn(new LocalDocuments(`${data}/state`));
    await kept.write(1_000);
    return {
      data,
      whole: new Map(),
      work: async () => {
        await kept.write(2_000);
        assert.equal(await kept.read(), 2_000);
      },
      [Symbol.asyncDispose]: () => Deno.remove(data, { recursive: true }),
    };
  }, 3);
});
