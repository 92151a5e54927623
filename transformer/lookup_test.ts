import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DEPARTMENTS } from "../local/source/users.ts";
import { usersPlan } from "../tests/support/users.ts";
import { ConfigError } from "../shared/errors/errors.ts";
import { readLookup, readLookups } from "./lookup.ts";

const OURS = new URL("../pipelines/departments.csv", import.meta.url).pathname;
const HEADER = "department_name,department_code";

/** Reads a lookup file with this content. Errors show its name as `FILE`. */
async function read(content: string | Uint8Array<ArrayBuffer>) {
  const path = await Deno.makeTempFile({ suffix: ".csv" });
  try {
    await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    return await readLookup(path, "department_name", "department_code");
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map((problem) => problem.replaceAll(path, "FILE"));
  } finally {
    await Deno.remove(path);
  }
}

async function codes(content: string, ...names: string[]) {
  const departments = await read(content);
  assert.ok(!Array.isArray(departments), String(departments));
  return names.map((name) => departments.codeOf(name));
}

Deno.test("the included lookup has a code for each department of the source", async () => {
  const departments = await readLookup(OURS, "department_name", "department_code");
  const found = Object.fromEntries(DEPARTMENTS.map((name) => [name, departments.codeOf(name)]));
  assert.deepEqual(found, {
    "Marketing": "MKT",
    "Engineering": "ENG",
    "Services": "SRV",
    "Business Development": "BDV",
    "Support": "SUP",
    "Accounting": "ACC",
    "Human Resources": "HR",
    "Sales": "SAL",
    "Legal": "LGL",
    "Product Management": "PM",
    "Training": "TRN",
    "Research and Development": "RND",
  });
  assert.equal(departments.size, 12);
  assert.equal(
    departments.sha256,
    createHash("sha256").update(await Deno.readFile(OURS)).digest("hex"),
  );
});

Deno.test("a name is found with any capitalization and spacing, on either side", async () => {
  const content = `${HEADER}\n  Human   resources , HR\nÉtudes,ETU\n`;
  const names = [
    "Human Resources",
    " human\tRESOURCES ",
    "HumanResources",
    "E\u0301TUDES",
    "",
    "constructor",
  ];
  assert.deepEqual(await codes(content, ...names), ["HR", "HR", undefined, "ETU", undefined, undefined]);
});

for (
  const [what, content] of Object.entries({
    "with a byte order mark": `\ufeff${HEADER}\nR&D,RND\n`,
    "with Windows line ends": `${HEADER}\r\nR&D,RND\r\n`,
    "without a last line end": `${HEADER}\nR&D,RND`,
    "with blank lines": `\n${HEADER}\n\nR&D,RND\n\n`,
    "with everything in quotes": `"department_name","department_code"\n"R&D","RND"\n`,
    "with a row twice": `${HEADER}\nR&D,RND\nr&d,RND\n`,
  })
) {
  Deno.test(`a file ${what} is read`, async () => {
    assert.deepEqual(await codes(content, "R&D"), ["RND"]);
  });
}

Deno.test("a quoted name may contain a comma and quotes", async () => {
  assert.deepEqual(await codes(`${HEADER}\n"Arts, ""Crafts""",ART\n`, 'arts, "crafts"'), ["ART"]);
});

Deno.test("every problem is reported at once, each with its line", async () => {
  const content = `${HEADER}\r\nSales,SAL\r\n\r\nSales,SLS\r\nLegal\r\n,LGL\r\nSupport,\r\nA,B,C\r\n`;
  assert.deepEqual(await read(content), [
    'FILE line 4: "Sales" has the code SLS here, but SAL on line 2',
    "FILE line 5: expected 2 fields, got 1",
    "FILE line 6: expected a name, got an empty field",
    'FILE line 7: expected a code for "Support", got an empty field',
    "FILE line 8: expected 2 fields, got 3",
  ]);
});

for (
  const [what, content, ...says] of [
    ["is empty", "", `FILE line 1: expected the header ${HEADER}, got nothing`],
    [
      "has another header",
      "name,code\nSales,SAL\n",
      `FILE line 1: expected the header ${HEADER}, got "name,code"`,
    ],
    [
      "has no department",
      `${HEADER}\n`,
      "FILE: expected a name on each line after the header, got none",
    ],
    ["has a quote that is left open", `${HEADER}\n"Sales,SAL\n`, /^FILE: .*[Qq]uote.* line 2/],
    ["is not UTF-8", new Uint8Array([0xff, 0xfe, 0x41]), "FILE is not UTF-8. Save it as UTF-8."],
  ] as const
) {
  Deno.test(`a file that ${what} is refused`, async () => {
    const found = await read(content as string);
    assert.ok(Array.isArray(found));
    assert.equal(found.length, 1);
    const wanted = says[0]!;
    if (wanted instanceof RegExp) assert.match(found[0]!, wanted);
    else assert.deepEqual(found, says);
  });
}

Deno.test("a missing file is refused with what to do", async () => {
  await assert.rejects(
    readLookups(usersPlan, { readEnv: () => "/nonexistent/departments.csv" }),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError);
      assert.match(
        error.message,
        /\/nonexistent\/departments\.csv can't be read.*Put a CSV file with the header/,
      );
      return true;
    },
  );
});

Deno.test("the earlier default path of the lookup means the current one", async () => {
  const lookups = await readLookups(usersPlan, { readEnv: () => "transformer/departments.csv" });
  assert.deepEqual(lookups.added.map(({ path }) => path), [OURS]);
  assert.equal(lookups.sha256, (await readLookups(usersPlan)).sha256);
});
