import assert from "node:assert/strict";
import { startSource } from "../local/source.ts";
import { newRunId } from "../shared/contracts/ids.ts";
import type { Phase1Complete, StartRun } from "../shared/contracts/messages.ts";
import { LocalFiles } from "../shared/files/local.ts";
import * as faults from "../tests/support/faulty_source.ts";

const SCRIPT = new URL("../tests/support/extract_process.ts", import.meta.url).pathname;

/**
 * Starts an extractor process and kills it without warning after `pages` pages. Returns the message it
 * published, if any.
 */
async function extract(
  folder: string,
  url: string,
  request: Partial<StartRun>,
  pages = Infinity,
): Promise<Phase1Complete | undefined> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      `--allow-net=${new URL(url).host}`,
      `--allow-read=${folder}/data`,
      `--allow-write=${folder}/data`,
      "--allow-sys=hostname,statfs",
      SCRIPT,
      url,
      "50",
      JSON.stringify(request),
    ],
    cwd: folder,
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let message: Phase1Complete | undefined;
  let killed = false;
  let text = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const lines = text.split("\n");
    if (!killed && lines.filter((line) => line.startsWith("page ")).length >= pages) {
      killed = true;
      child.kill("SIGKILL");
    }
    const done = lines.find((line) => line.startsWith("done ") && line.endsWith("}"));
    if (done !== undefined) message = JSON.parse(done.slice(5));
  }
  const { success } = await child.status;
  assert.equal(success, !killed);
  return message;
}

Deno.test("a run that is killed repeatedly ends with the same bytes and message as an uninterrupted one", async () => {
  const users = 2_000;
  // Each page starts with the last user of the page before, as if users had been added in the meantime.
  await using source = await startSource({
    users,
    bad: 0.05,
    delayMs: 5,
    wrap: faults.withFaults(({ skip }) => skip > 0 ? faults.pageOf(skip - 1) : undefined),
  });
  const [disturbed, peaceful] = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  try {
    const request = { id: "request", run_id: newRunId(), requested_by: "test" };
    const undisturbed = await extract(peaceful, source.url, request);
    for (const pages of [1, 3, 2, 4]) {
      assert.equal(await extract(disturbed, source.url, request, pages), undefined);
    }
    const resumed = await extract(disturbed, source.url, request);
    const { raw_file: peacefulFile, published_at: _one, ...left } = undisturbed!;
    const { raw_file: disturbedFile, published_at: _other, ...right } = resumed!;
    assert.deepEqual(right, left);
    assert.match(disturbedFile, /^data\/raw_users\/records_\d{8}_\d{6}\.jsonl$/);
    const bytes = await Deno.readFile(`${disturbed}/${disturbedFile}`);
    assert.deepEqual(bytes, await Deno.readFile(`${peaceful}/${peacefulFile}`));
    const facts = await new LocalFiles(`${disturbed}/data`).facts(`${disturbed}/${disturbedFile}`);
    assert.equal(facts.sha256, right.raw_sha256);
    const names = [...Deno.readDirSync(`${disturbed}/data/raw_users`)].map(({ name }) => name);
    assert.deepEqual(names, [disturbedFile.split("/").at(-1)]);
    assert.equal((await extract(disturbed, source.url, request))?.id, resumed?.id);
  } finally {
    await Deno.remove(disturbed, { recursive: true });
    await Deno.remove(peaceful, { recursive: true });
  }
});
