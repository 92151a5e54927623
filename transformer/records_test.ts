import assert from "node:assert/strict";
import { splitLines } from "../shared/files/lines.ts";
import { usersPlan } from "../tests/support/users.ts";
import { transform } from "./transform.ts";

const USER = { id: 1, firstName: "A", email: "a@b.org", age: 28, company: { department: "Engineering" } };

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
  const lines = (text: string) => text.split("\n").slice(0, -1);
  return { processed: lines(files.processed), dead: lines(files.dead) };
}

Deno.test("a record that is nested too deeply for the database becomes a dead letter with that reason, and no other", async () => {
  const nested = (levels: number, more: object) =>
    JSON.stringify({ ...USER, ...more }).replace(
      /}$/,
      `,"text":"[{\\"[","x":${"[".repeat(levels - 1)}1${"]".repeat(levels - 1)}}`,
    );
  for (const asTexts of [false, true]) {
    for (const more of [{}, { error_reason: "of its own" }]) {
      const lines = [400, 700, 1000, 1001, 100_000].map((levels) => nested(levels, more));
      const { processed, dead } = await transformed(lines.join("\n"), asTexts);
      assert.deepEqual(processed.map((line) => JSON.parse(line).x !== undefined), [true, true, true]);
      const error_reason = "Nested too deeply: more than 1000 objects and lists within each other";
      assert.deepEqual(
        dead.map((line) => JSON.parse(line)),
        lines.slice(3).map((raw_line) => ({ raw_line, error_reason })),
      );
    }
  }
});

Deno.test("of members with one name the last counts, at any depth: the others are in neither file, and all else stays as written", async () => {
  const cases = [
    ['"age":200,"age":30.0', '"age":30.0'],
    [
      '"age":200, "more":1.0, "age" : 30 , "x":{"a":1,"b":[{"c":1,"c":{"d":1,"d":2}}]}',
      '"more":1.0, "age" : 30 , "x":{"a":1,"b":[{"c":{"d":2}}]}',
    ],
    ['"age":30,"x":{"y":{"z":1,"z":2},"y":1,"y":[{}]}', '"age":30,"x":{"y":[{}]}'],
    [String.raw`"age":200,"\u0061ge":30,"é":1,"é":2,"😀":3`, String.raw`"\u0061ge":30,"é":2,"😀":3`],
    ['"age":30,"age":200', '"age":200'],
    [
      '"age":30,"x":{"b":1},"y":{"b":1,"B":2,"":3," ":4}',
      '"age":30,"x":{"b":1},"y":{"b":1,"B":2,"":3," ":4}',
    ],
  ];
  const { age: _, ...rest } = USER;
  const line = (members: string) => `{${members},${JSON.stringify(rest).slice(1)}`;
  for (const asTexts of [false, true]) {
    const { processed, dead } = await transformed(cases.map(([raw]) => line(raw!)).join("\n"), asTexts);
    const letters = dead.map((letter) => letter.replace(/,"error_reason":.*/, "}"));
    const valid = cases.filter(([, wanted]) => wanted !== '"age":200');
    assert.deepEqual(
      processed,
      valid.map(([, wanted]) => line(wanted!)),
    );
    assert.deepEqual(letters, [line('"age":200')]);
  }
});

Deno.test("a record of very many members, and one with a name twice among them, is read as JSON.parse does", async () => {
  for (const count of [3, 300, 3_000]) {
    const many = Array.from({ length: count }, (_, n) => `"member_${n}":{"a":1,"${n}":1,"b":2}`).join(",");
    const line = (more: string) => `${JSON.stringify(USER).slice(0, -1)},${many}${more}}`;
    const again = `,"member_${count - 2}":{"a":1.0}`;
    const { processed } = await transformed([line(""), line(again)].join("\n"), false);
    assert.equal(processed[0], line(""));
    assert.equal(
      processed[1],
      line(again).replace(`"member_${count - 2}":{"a":1,"${count - 2}":1,"b":2},`, ""),
    );
  }
});
