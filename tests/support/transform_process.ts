/**
 * A transformer in a separate process, to be killed or watched. Handles one raw file of the data directory
 * `data` in the working directory. After each batch, prints a line with the number of records done and the
 * memory used, in bytes. Arguments: the raw file, the lookup file, and the number of records after which it
 * stops until it receives input.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { Phase1Complete } from "../../shared/contracts/messages.ts";
import { LocalFiles } from "../../shared/files/local.ts";
import { usersPlan } from "./users.ts";
import { readLookups } from "../../transformer/lookup.ts";
import { transformer } from "../../transformer/transformer.ts";

if (import.meta.main) {
  const [rawFile, lookup, haltAfter] = Deno.args as [string, string, string];
  const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  const feed = { plan: usersPlan, lookups: await readLookups(usersPlan, { readEnv: () => lookup }) };
  const actor = transformer({
    files: new LocalFiles("data"),
    feedOf: () => feed,
  });
  await actor.handle(Phase1Complete.parse({ raw_file: rawFile }), {
    attempt: 1,
    signal: new AbortController().signal,
    log: getLogger("test"),
    progress: ({ done: records }) => {
      say(`${records} ${Deno.memoryUsage().rss}`);
      if (records >= Number(haltAfter)) Deno.stdin.readSync(new Uint8Array(1));
    },
    tell: () => Promise.resolve(),
  });
}
