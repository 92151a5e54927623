import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { LONGEST } from "./run_tests.ts";

const NEEDS = new URL("../tests/support/needs.ts", import.meta.url).href;

/** Creates two tests, one of which needs redis-server, on a machine that has only `programs`. */
async function machineWith(...programs: string[]) {
  const folder = await Deno.makeTempDir({ prefix: "machine-" });
  for (const program of programs) await Deno.symlink(`/bin/${program}`, `${folder}/${program}`);
  await Deno.writeTextFile(
    `${folder}/some_test.ts`,
    `import { needing } from "${NEEDS}";
const test = needing("redis-server");
test("with Redis", () => {});
Deno.test("without", () => {});
`,
  );
  return {
    folder,
    async run(env: Record<string, string>, ...args: string[]) {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["task", "--quiet", "test", `${folder}/some_test.ts`, ...args],
        cwd: fileURLToPath(new URL("..", import.meta.url)),
        env: { HOME: Deno.env.get("HOME") ?? "/", NO_COLOR: "1", PATH: folder, ...env },
        clearEnv: true,
      }).output();
      const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)) as [string, string];
      return { code, out, err };
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

Deno.test("without the right to install, tests of a missing server are ignored, and the last lines name it", async () => {
  await using machine = await machineWith();
  const { code, out, err } = await machine.run({ ETL_TEST_INSTALL: "no" });
  assert.equal(code, 0, out + err);
  assert.match(out, /with Redis \.\.\. ignored/);
  assert.match(out, /1 passed .* 1 ignored/);
  assert.deepEqual(err.trimEnd().split("\n").slice(-2), [
    "1 test(s) did not run, as programs are missing:",
    "  redis-server: needed by 1 test(s); on Debian: apt-get install redis-server",
  ]);
});

Deno.test("in CI a missing server is a failure, and the other missing ones are named too", async () => {
  await using machine = await machineWith();
  const { code, out, err } = await machine.run({ ETL_TEST_INSTALL: "no", CI: "true" });
  assert.equal(code, 1);
  assert.equal(out, "");
  assert.match(err, /nothing may be missing, but these programs are: redis-server, .*chromium/);
});

Deno.test({
  name: "as root on Debian, missing servers are announced and installed first",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using machine = await machineWith("sh", "touch", "cat", "rm", "chmod", "echo");
    // Stands in for apt: installs an empty redis-server and records what was requested.
    await Deno.writeTextFile(
      `${machine.folder}/apt-get`,
      `#!/bin/sh\necho "$@" >>${machine.folder}/asked\n[ "$1" = update ] || touch ${machine.folder}/redis-server\n`,
      { mode: 0o755 },
    );
    const { code, out, err } = await machine.run({});
    assert.equal(code, 0, out + err);
    assert.match(err, /^Tests use programs that are missing here: redis-server, .*apt-get: redis-server /);
    assert.match(out, /with Redis \.\.\. ok/);
    const requested = await Deno.readTextFile(`${machine.folder}/asked`);
    assert.match(requested, /^update -qq\ninstall -y -qq --no-install-recommends redis-server .*chromium/);
  },
});

Deno.test("paths and flags are passed to deno test", async () => {
  await using machine = await machineWith();
  const { code, out } = await machine.run({ ETL_TEST_INSTALL: "no" }, "--filter", "without");
  assert.equal(code, 0);
  assert.match(out, /1 passed .* 1 filtered out/);
});

Deno.test("only tests that match the filter count as not run", async () => {
  await using machine = await machineWith();
  for (const filter of ["without", "/^without$/"]) {
    const { code, err } = await machine.run({ ETL_TEST_INSTALL: "no" }, "--filter", filter);
    assert.equal(code, 0);
    assert.doesNotMatch(err, /did not run/);
  }
  const { err } = await machine.run({ ETL_TEST_INSTALL: "no" }, "--filter=/^with R/");
  assert.match(err, /1 test\(s\) did not run/);
});

Deno.test("the files listed as first exist", async () => {
  for (const path of LONGEST) {
    assert.ok((await Deno.stat(new URL(`../${path}`, import.meta.url))).isFile, path);
  }
});
