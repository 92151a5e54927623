import assert from "node:assert/strict";
import { programPath } from "../../cli/services.ts";
import { perform, RACK, table } from "./rack.ts";

Deno.test("each source of the rack ends complete or loud, also if it is stopped after each page, or its process killed", async (t) => {
  assert.ok(RACK.length >= 40, `${RACK.length} sources`);
  assert.equal(new Set(RACK.map(({ name }) => name)).size, RACK.length, "names are unique");
  // kills every other case here, each at another page; `deno task drill --rack` kills all of them at every
  // page
  for (const [i, rack] of RACK.entries()) {
    const killAt = (requested: number) => i % 2 === 0 && requested > 0 ? [1 + (i / 2) % requested] : [];
    await t.step(rack.name, async () => void await perform(rack, killAt));
  }
});

Deno.test("the table of the rack in docs/guarantees.md equals that of its cases", async () => {
  const squeezed = (text: string) => text.replace(/ +/g, " ").replace(/-{3,}/g, "---");
  const text = await Deno.readTextFile(programPath("docs/guarantees.md"));
  assert.ok(squeezed(text).includes(squeezed(table())), `docs/guarantees.md should hold:\n\n${table()}`);
});
