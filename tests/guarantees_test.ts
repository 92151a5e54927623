import assert from "node:assert/strict";
import { programPath } from "../cli/services.ts";

/** Returns each `file`: "name" of a test in docs/guarantees.md; names may span lines. */
async function namedTests(): Promise<{ file: string; name: string }[]> {
  const text = (await Deno.readTextFile(programPath("docs/guarantees.md"))).replace(/\s+/g, " ");
  return Array.from(
    text.matchAll(/`(\S+\.ts)`: "([^"]+)"/g),
    ([, file, name]) => ({ file: file!, name: name! }),
  );
}

Deno.test("each guarantee names at least one test, and each named test exists", async () => {
  const tests = await namedTests();
  assert.ok(tests.length > 40, `only ${tests.length} tests were found in docs/guarantees.md`);
  const missing: string[] = [];
  for (const { file, name } of tests) {
    const source = await Deno.readTextFile(programPath(file)).catch(() => "");
    if (!source.includes(`"${name}"`)) missing.push(`${file}: ${name}`);
  }
  assert.deepEqual(missing, [], "docs/guarantees.md names tests that aren't there");

  const lines = (await Deno.readTextFile(programPath("docs/guarantees.md"))).split("\n");
  const bare = lines.filter((line, i) => {
    if (!line.startsWith("- ")) return false;
    const next = lines.slice(i + 1).find((later) => /^( {2})?- /.test(later));
    return next === undefined || !next.startsWith("  - `");
  });
  assert.deepEqual(bare, [], "promises without a test");
});
