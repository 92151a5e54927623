/**
 * Kills real extractor processes without warning.
 *
 * @module
 */
import type { PagedSource } from "../support/paged_source.ts";
import type { RackCase } from "./case.ts";
import type { Order } from "./process.ts";

const PROJECT = new URL("../..", import.meta.url).pathname;

/** Extracts `rack` in a process that is killed when it requests page `nth`. Returns whether it requested that page. */
export async function killedAt(
  paged: PagedSource,
  { source, pipeline: name = "things" }: RackCase,
  nth: number,
) {
  const order: Order = { data: paged.data, url: `${paged.origin}/things`, name, source };
  await using child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      `--allow-net=${new URL(paged.origin).host}`,
      `--allow-read=${paged.data}`,
      `--allow-write=${paged.data}`,
      "--allow-sys=hostname,statfs",
      `${PROJECT}tests/rack/process.ts`,
      JSON.stringify(order),
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null", // it prints the expected failures
  }).spawn();
  let isKilled = false;
  paged.onRequest = async (requested) => {
    if (requested !== nth) return;
    isKilled = true;
    child.kill("SIGKILL");
    await child.status;
  };
  await child.status;
  paged.onRequest = () => {};
  return isKilled;
}
