import assert from "node:assert/strict";
import { Skip } from "./case.ts";
import { CASES } from "./cases.ts";

for (const { name, fault, quick, run } of CASES) {
  if (!quick) continue;
  Deno.test(`drill ${name}: ${fault}`, async () => {
    try {
      const { lost, twice } = await run(0.01);
      assert.deepEqual({ lost, twice }, { lost: 0, twice: 0 });
    } catch (error) {
      if (!(error instanceof Skip)) throw error;
    }
  });
}
