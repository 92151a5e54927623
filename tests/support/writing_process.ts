/**
 * A process that fills a database or a queue, to be run with a limit on file sizes: `database FOLDER` or
 * `queue FOLDER`. Prints the class of the error that ended it, or `done`.
 *
 * @module
 */
import { openEmbeddedChannel } from "../../shared/channel/embedded.ts";
import { compose } from "../../shared/actor/message.ts";
import { newRunId } from "../../shared/contracts/ids.ts";
import { openSqlite } from "../../shared/store/sqlite/open.ts";
import { linesOf, usersTables } from "./store.ts";

export const RECORDS = 1_000;
const TEXTS = Array.from({ length: RECORDS }, (_, id) => JSON.stringify({ id, text: "x".repeat(1_000) }));
export const MESSAGES = 300;

/** Loads a file of `RECORDS` records. Does nothing the second time. */
export async function fillDatabase(folder: string): Promise<void> {
  await using store = await openSqlite(`${folder}/data.db`, { pipelines: usersTables([]) });
  const file = { runId: "run-1", pipeline: "users", kind: "raw", name: "data/raw_users/a.jsonl" } as const;
  await store.loadFile(file, linesOf(TEXTS));
  await store.tidy();
}

/**
 * Publishes `MESSAGES` messages with unique ids, each once. Calls `accepted` with the number of messages that
 * are certain.
 */
export async function fillQueue(folder: string, accepted: (messages: number) => void): Promise<void> {
  await using channel = await openEmbeddedChannel(`${folder}/queue.db`);
  for (let i = 0; i < MESSAGES; i++) {
    const fields = { run_id: newRunId(), requested_by: "x".repeat(200) };
    await channel.publish(compose("channel:start_run", `message-${i}`, fields));
    accepted(i + 1);
  }
}

if (import.meta.main) {
  const [what, folder] = Deno.args as [string, string];
  let messages = 0;
  const say = (name: string, reason = "") =>
    Deno.stdout.writeSync(new TextEncoder().encode(`${name} ${messages} ${reason}\n`));
  try {
    if (what === "queue") await fillQueue(folder, (accepted) => messages = accepted);
    else await fillDatabase(folder);
    say("done");
  } catch (error) {
    say((error as Error).name, (error as Error).message);
  }
}
