import assert from "node:assert/strict";
import { splitLines } from "../shared/files/lines.ts";
import { usersPlan } from "../tests/support/users.ts";
import { transform } from "./transform.ts";

async function transformed(raw: string, asTexts: boolean) {
  async function* batches() {
    const chunks = (async function* () {
      yield await Promise.resolve(new TextEncoder().encode(raw));
    })();
    for await (const { first, bytes, lines, flaws } of splitLines(chunks)) {
      yield { first, lines, flaws, ...(asTexts ? {} : { bytes }) };
    }
  }
  const files = { processed: "", dead: "" };
  const sink = (file: keyof typeof files) => ({
    write: (data: string | Uint8Array) => {
      files[file] += typeof data === "string" ? data : new TextDecoder().decode(data);
      return Promise.resolve();
    },
  });
  const [processed, dead] = [sink("processed"), sink("dead")];
  await transform(batches(), { processed, dead, plan: usersPlan, added: [], progress: () => {} });
  const lines = (text: string) => text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  return { processed: lines(files.processed), dead: lines(files.dead) };
}

Deno.test("only a record nested too deeply for the database becomes a dead letter with that reason", async () => {
  const user = { id: 1, firstName: "A", email: "a@b.org", age: 28, company: { department: "Engineering" } };
  const nested = (levels: number, more: object) =>
    JSON.stringify({ ...user, ...more }).replace(
      /}$/,
      `,"text":"[{\\"[","x":${"[".repeat(levels - 1)}1${"]".repeat(levels - 1)}}`,
    );
  for (const asTexts of [false, true]) {
    for (const more of [{}, { error_reason: "of its own" }]) {
      const lines = [400, 700, 1000, 1001, 100_000].map((levels) => nested(levels, more));
      const { processed, dead } = await transformed(lines.join("\n"), asTexts);
      assert.deepEqual(processed.map(({ x }) => x !== undefined), [true, true, true]);
      const error_reason = "Nested too deeply: more than 1000 objects and lists within each other";
      assert.deepEqual(dead, lines.slice(3).map((raw_line) => ({ raw_line, error_reason })));
    }
  }
});
