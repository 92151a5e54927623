import assert from "node:assert/strict";
import { needing } from "../support/needs.ts";
import { Skip } from "./case.ts";
import { CASES } from "./cases.ts";

const test = needing("redis-server", "sshd");

for (const { name, fault, quick, run } of CASES) {
  if (!quick) continue;
  test(`drill ${name}: ${fault}`, async () => {
    try {
      const { lost, twice } = await run(0.01);
      assert.deepEqual({ lost, twice }, { lost: 0, twice: 0 });
    } catch (error) {
      if (!(error instanceof Skip)) throw error;
    }
  });
}
