import assert from "node:assert/strict";
import { writeAtomically } from "./disk.ts";
import { LocalFiles } from "./local.ts";

/** Records each rename and each fsync of a folder until it is disposed of. */
function watchNames() {
  const { rename, open } = Deno;
  const steps: string[] = [];
  Deno.rename = async (from, to) => {
    await rename(from, to);
    steps.push("rename");
  };
  Deno.open = async (path, options) => {
    const file = await open(path, options);
    if ((await file.stat()).isDirectory) {
      const sync = file.sync.bind(file);
      file.sync = async () => {
        await sync();
        steps.push("fsync of the folder");
      };
    }
    return file;
  };
  return { steps, [Symbol.dispose]: () => void Object.assign(Deno, { rename, open }) };
}

Deno.test("a final name survives a power failure: the folder is synced after each rename", async () => {
  const folder = await Deno.makeTempDir();
  try {
    using names = watchNames();
    await using part = await new LocalFiles(folder).create(`${folder}/raw_users/a.jsonl`);
    await part.publish();
    await writeAtomically(`${folder}/state/a.json`, "{}");
    const each = ["rename", "fsync of the folder"];
    assert.deepEqual(names.steps, [...each, ...each]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
