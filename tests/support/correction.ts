/**
 * Tools for tests of corrections.
 *
 * @module
 */
import assert from "node:assert/strict";
import { extractor } from "../../extractor/extract.ts";
import { LocalState } from "../../extractor/state.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { type Correction, type Phase1Complete, StartRun } from "../../shared/contracts/messages.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { quiet, usersSource } from "./extraction.ts";

/** Lines of a dead-letter file. */
const LETTERS = [
  '{"id":1.0,"age":70,"error_reason":"age: 70 is greater than 65"}',
  '{"raw_line":"[1,2]","error_reason":"Not an object"}',
  '{"id":3,"email":"","error_reason":"email: empty"}',
  '{"id":4,"age":17,"error_reason":"age: 17 is less than 18"}',
];

/** Creates a data directory with a dead-letter file, and an extractor that corrects it. */
export async function startCorrections() {
  const data = await Deno.makeTempDir();
  const dlq_file = `${data}/dlq/invalid_users_20261124_030007.jsonl`;
  await Deno.mkdir(`${data}/dlq`);
  await Deno.writeTextFile(dlq_file, LETTERS.join("\n") + "\n");
  const files = new LocalFiles(data);
  const source = usersSource("http://127.0.0.1:9/users");
  const actor = extractor({
    sourceOf: () => source,
    files,
    state: new LocalState(`${data}/state`),
    now: () => Date.UTC(2026, 10, 24, 4),
  });
  const of = newRunId();
  return {
    data,
    files,
    dlq_file,
    /** The run to correct. */
    of,
    /**
     * Returns a correction run's request. Not parsed, because paths of temporary folders aren't valid as
     * `DataPath`.
     */
    request(patches: Correction["patches"], dlq_sha256?: string): StartRun {
      const plain = StartRun.parse({ id: crypto.randomUUID(), run_id: newRunId(), requested_by: "test" });
      return {
        ...plain,
        correction: { of, dlq_file, patches, ...(dlq_sha256 === undefined ? {} : { dlq_sha256 }) },
      };
    },
    /** Handles a request as the actor would. */
    async handle(request: StartRun) {
      const handling = quiet({
        tell: () => Promise.reject(new Error("nothing is superseded by a correction")),
      });
      const { runId, plan, held } = await actor.plan!(request, handling.signal);
      using _held = held;
      assert.equal(runId, request.run_id);
      const done = await actor.handle(request, handling, plan);
      return { ...done, message: done.outputs[0]!.fields as Phase1Complete };
    },
    /** Returns the text of the announced raw file. */
    raw: (message: Phase1Complete) => Deno.readTextFile(message.raw_file),
    /** Returns the names of the raw files. */
    async rawFiles() {
      const folder = `${data}/raw_users`;
      return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
    },
    [Symbol.asyncDispose]() {
      source[Symbol.dispose]();
      return Deno.remove(data, { recursive: true });
    },
  };
}
