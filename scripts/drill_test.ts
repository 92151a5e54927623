import assert from "node:assert/strict";
import { CASES } from "../tests/drill/cases.ts";
import { ABSENT_FILE, needing } from "../tests/support/needs.ts";

const DRILL = new URL("drill.ts", import.meta.url).pathname;

async function drill(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-all", DRILL, ...args],
    env: { NO_COLOR: "1", [ABSENT_FILE]: "" },
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
  return { code, out, err };
}

needing("sshd")("one case is drilled by its name and reported in one line", async () => {
  const { code, out } = await drill("--case", "sigterm-at-work");
  assert.equal(code, 0);
  assert.match(out, /sigterm-at-work: SIGTERM to all .*\| exit 0 after .*\| +0 \| +0 \|/);
  assert.match(out, /1 held, 0 broken, 0 skipped/);
});

Deno.test("an invalid command line is refused with the valid options", async () => {
  const unknown = await drill("--case", "nothing");
  assert.equal(unknown.code, 2);
  assert.match(unknown.err, /no case "nothing"\. Known: .*sigterm-at-work/);
  const none = await drill("--repeats", "0");
  assert.equal(none.code, 2);
  assert.match(none.err, /--repeats is "0", wanted a percentage up to 100, or few/);
});

Deno.test("each case has its own name", () => {
  assert.equal(new Set(CASES.map(({ name }) => name)).size, CASES.length);
});
