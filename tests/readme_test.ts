import assert from "node:assert/strict";

const root = new URL("../", import.meta.url);
const [english, spanish] = await Promise.all(
  ["README.md", "README.es.md"].map((name) => Deno.readTextFile(new URL(name, root))),
) as [string, string];

/** Returns what both languages have in common: levels of headings, fenced blocks, rows of tables, links, pictures. */
function shapeOf(text: string): string[] {
  let fence = "";
  return text.split("\n").flatMap((line) => {
    if (line.startsWith("```")) {
      fence = fence === "" ? line : "";
      return [line];
    }
    if (fence !== "") return fence === "```" ? [] : [line]; // a block without a language contains prose
    if (line.startsWith("|")) return [`row ${line.split("|").length}`];
    return /^#+ |^!\[/.exec(line) ?? [];
  });
}

Deno.test("the Spanish README has the sections, code, commands and tables of the English one", () => {
  assert.deepEqual(shapeOf(spanish), shapeOf(english));
  const tasks = (text: string) =>
    [...new Set([...text.matchAll(/deno task ([a-z]+(?: (?:new|try|repair))?)/g)].map(([, task]) => task))]
      .sort();
  assert.deepEqual(tasks(spanish), tasks(english));
});

Deno.test("no section of the README appears twice", () => {
  const plain = (heading: string) => heading.toLowerCase().replace(/[^a-z ]/g, "");
  const headings = [...english.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => plain(heading!));
  assert.deepEqual(headings, [...new Set(headings)]);
});

Deno.test("every task and every linked file of the README exists", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  for (const [, task] of english.matchAll(/(?:deno|deno@[\d.]+) task ([a-z]+)/g)) {
    assert.ok(task! in tasks, task!);
  }
  for (const [, file] of (english + spanish).matchAll(/\]\(([^):]+)\)/g)) {
    await Deno.stat(new URL(file!, root));
  }
});

Deno.test("the README's table of folders names every folder of the repository", async () => {
  const files = await new Deno.Command("git", { args: ["ls-files"], cwd: root }).output();
  const folders = new TextDecoder().decode(files.stdout).split("\n").flatMap((path) =>
    path.includes("/") && !path.startsWith(".") ? [`${path.split("/")[0]}/`] : []
  );
  for (const folder of new Set(folders)) {
    assert.match(english, new RegExp(`^\\|.*\`${folder}\`.*\\|`, "m"), folder);
  }
});
